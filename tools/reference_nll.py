#!/usr/bin/env python3
"""Prints, as JSON, the mean negative log-likelihood per token of a text by transformers (eager attention).

The text is cut into pieces of --max-length tokens; each begins with the BOS that the tokenizer puts before a text, if
it puts one. A piece starts fresh and its first token is not predicted. --ids takes token ids instead of text (a JSON list of lists, or JSONL lines {"tokens": [...]}), so that
two tokenizers cannot be the difference; --write-ids saves the pieces as such JSONL, for `lorikeet eval --data`.
"""

import argparse
import json

import transformers

from reference_model import DTYPES, chunked, load_model, mean_nll, quiet, read_token_lines, versions


def write_token_lines(path, sequences):
    with open(path, "w", encoding="utf-8") as out:
        for tokens in sequences:
            out.write(json.dumps({"tokens": tokens}) + "\n")


def read_sequences(options):
    if options.ids:
        return [piece for ids in read_token_lines(options.ids) for piece in chunked(ids, options.max_length)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    with open(options.text, encoding="utf-8") as file:
        text = file.read()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with_special = tokenizer(text)["input_ids"]
    added = len(with_special) - len(ids)
    bos = next(with_special[:n] for n in range(added + 1) if with_special[n:n + len(ids)] == ids)
    return [bos + piece for piece in chunked(ids, options.max_length - len(bos))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="UTF-8 text")
    source.add_argument("--ids", help="token ids")
    parser.add_argument("--adapter", help="a PEFT folder")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="f32")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--write-ids", help="save the pieces as JSONL")
    options = parser.parse_args()
    quiet()
    sequences = read_sequences(options)
    if options.write_ids:
        write_token_lines(options.write_ids, sequences)
    model = load_model(options.model, DTYPES[options.dtype], options.adapter)
    nll, predicted = mean_nll(model, sequences)
    print(json.dumps({
        "nll": nll,
        "predicted_tokens": predicted,
        "tokens": sum(len(s) for s in sequences),
        "sequences": len(sequences),
        "max_length": options.max_length,
        "dtype": options.dtype,
        "adapter": bool(options.adapter),
        "versions": versions(),
    }, indent=2))


if __name__ == "__main__":
    main()
