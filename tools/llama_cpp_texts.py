#!/usr/bin/env python3
"""Compares the texts of a GGUF file in llama.cpp with those of the model that it was written from, in Lorikeet.

llama_cpp_texts.py --lorikeet BIN --model DIR [--dtype f32 ...] [--tokens 32] [--text FILE]
    For each dtype `lorikeet convert` writes DIR as a GGUF file. llama.cpp (llama-cpp-python) and `lorikeet generate`
    continue 20 prompts greedily. In f32 every token must be the same, or differ where the two best logits are closer
    than 1e-3 (llama.cpp sums in another order). Other types are compared with Lorikeet reading the same file; there the
    arithmetic differs (llama.cpp quantises activations too), and the number of equal texts is reported.
    The prompts must always have the same number of tokens. Exit status 1 if something differs. --text: the mean NLL of
    its first 511 tokens too, by both programs.

Needs llama-cpp-python (made with 0.3.36) and, for Gemma, the time to build it from source.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import llama_cpp
from llama_cpp import Llama

PROMPTS = [
    "The capital of France is", "Once upon a time, there was a little", "def fibonacci(n):\n", "2 + 2 =",
    "Water boils at", "The three primary colours are", "In 1969, the first man",
    "  Indented text with two spaces and", "Dear Sir or Madam,\n\n", "Die Hauptstadt von Deutschland ist",
    "La tour Eiffel se trouve à", "今日はいい天気です。", "Привет, как", "😀 Emoji are", "SELECT name, age FROM users WHERE",
    "A list of fruits:\n1. Apple\n2.", "The opposite of hot is", "x = [1, 2, 3]\nprint(",
    "It's a truth universally acknowledged, that", "<html>\n<head>\n<title>",
]


def lorikeet_texts(lorikeet, model, tokens, folder):
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in PROMPTS))
    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    subprocess.run([lorikeet, "generate", "--model", model, "--data", prompts, "--raw", "--temperature", "0",
                    "--max-tokens", str(tokens), "--dtype", "f32", "--logprobs", "--out", out, "--quiet"], check=True)
    return [json.loads(line) for line in out.read_text().splitlines()]


def llama_ids(llm, prompt, tokens):
    """Number of the prompt's ids, greedy ids, and the distance of the two best logits at each."""
    ids = llm.tokenize(prompt.encode(), add_bos=True, special=False)
    llm.reset()
    llm.eval(ids)
    out, gaps = [], []
    for _ in range(tokens):
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(llm.ctx, -1), shape=(llm.n_vocab(),))
        best = np.argpartition(logits, -2)[-2:]
        best = best[np.argsort(logits[best])]
        if llama_cpp.llama_vocab_is_eog(llama_cpp.llama_model_get_vocab(llm.model), int(best[1])):
            break
        out.append(int(best[1]))
        gaps.append(float(logits[best[1]] - logits[best[0]]))
        llm.eval([out[-1]])
    return len(ids), out, gaps


def report_nll(args, reference, llm, folder):
    ids = llm.tokenize(pathlib.Path(args.text).read_bytes(), add_bos=True, special=False)[:511]
    llm.reset()
    llm.eval(ids)
    logits = np.array(llm.scores[: len(ids) - 1], dtype=np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids) - 1), ids[1:]]
    rows = folder / "ids.jsonl"
    rows.write_text(json.dumps({"tokens": ids}) + "\n")
    out = subprocess.run([args.lorikeet, "eval", "--model", reference, "--data", rows, "--dtype", "f32", "--json"],
                         check=True, capture_output=True, text=True).stdout
    print(f"  mean NLL of {len(ids) - 1} tokens: {nll.mean():.5f} in llama.cpp, {json.loads(out)['nll']:.5f} here")


def compare(args, dtype, folder):
    file = folder / "model.gguf"
    subprocess.run([args.lorikeet, "convert", args.model, file, "--dtype", dtype, "--overwrite"], check=True)
    reference = args.model if dtype == "f32" else file
    expected = lorikeet_texts(args.lorikeet, reference, args.tokens, folder)
    f32 = 0  # of the cache; llama.cpp's default is f16
    llm = Llama(str(file), n_ctx=512, n_batch=64, verbose=False, n_threads=args.threads, type_k=f32, type_v=f32,
                logits_all=args.text is not None)
    same, close, failed = 0, 0, []
    for prompt, row in zip(PROMPTS, expected):
        count, ids, gaps = llama_ids(llm, prompt, args.tokens)
        if count != row["prompt_tokens"]:
            failed.append(f"{prompt!r}: {count} prompt ids instead of {row['prompt_tokens']}")
            continue
        wanted = row["completion_ids"]
        if row["finish_reason"] == "stop":  # the token that ends it
            wanted = wanted[:-1] if len(wanted) > len(ids) else wanted
        at = next((i for i, (a, b) in enumerate(zip(ids, wanted)) if a != b), min(len(ids), len(wanted)))
        if at == len(ids) == len(wanted):
            same += 1
        elif dtype == "f32" and at < len(gaps) and gaps[at] < 1e-3:
            close += 1
        else:
            failed.append(f"{prompt!r}: token {at} of {len(wanted)} differs")
    print(f"{dtype}: {same} of {len(PROMPTS)} texts are the same" + (f", {close} up to a tie" if close else ""))
    for line in failed:
        print(f"  {line}")
    if args.text:
        report_nll(args, reference, llm, folder)
    only_ids = [line for line in failed if "prompt ids" in line]
    return not (failed if dtype == "f32" else only_ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lorikeet", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", nargs="+", default=["f32"])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--text")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(args, dtype, pathlib.Path(folder)) for dtype in args.dtype]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
