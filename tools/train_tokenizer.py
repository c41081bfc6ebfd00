#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer on JSONL of {"text": ...} and writes it as a Hugging Face folder.

    tools/train_tokenizer.py --data train.jsonl --out DIR [--vocab-size 4096]

DIR gets tokenizer.json, tokenizer_config.json (ChatML as its chat template) and generation_config.json. Needs the
`tokenizers` package (tools/requirements.txt); the same text gives the same files.
"""

import argparse
import json
import pathlib
import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END, TURN, END_OF_TURN, PAD = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def texts(path):
    with open(path, encoding="utf-8") as rows:
        for row in rows:
            yield re.sub(r"<\|im_(start\|>(user|assistant)\n|end\|>)", "", json.loads(row)["text"])


def train(path, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[END, TURN, END_OF_TURN, PAD],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts(path), trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--vocab-size", type=int, default=4096)
    arguments = parser.parse_args()
    tokenizer = train(arguments.data, arguments.vocab_size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (arguments.out / "tokenizer.json").write_text(compact + "\n", encoding="utf-8")
    # One token both begins and ends a document. A turn of a chat has an end token of its own.
    config = {"add_bos_token": False, "bos_token": END, "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces":
              False, "eos_token": END, "model_max_length": 512, "pad_token": PAD,
              "tokenizer_class": "PreTrainedTokenizerFast"}
    ids = [tokenizer.token_to_id(token) for token in (END, END_OF_TURN, PAD)]
    generation = {"bos_token_id": ids[0], "eos_token_id": ids[:2], "pad_token_id": ids[2]}
    for name, content in (("tokenizer_config.json", config), ("generation_config.json", generation)):
        (arguments.out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"{arguments.out}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
