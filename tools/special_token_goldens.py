#!/usr/bin/env python3
"""Goldens for the tokens that files beside tokenizer.json name, by `transformers`: tests/golden/special_tokens.json.

Each case is the content of tokenizer_config.json, special_tokens_map.json and added_tokens.json (null: no such file);
"tokens" are the added tokens that the tokenizer then has, as [id, content, flags], "ids" those of TEXT, and eos and pad
the names. Cases that `transformers` refuses have no "tokens".
"""
import json
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXT = "a <eos> b <x> a <tool> <in>b <img> <b><a>"
FLAGS = ["special", "lstrip", "rstrip", "normalized", "single_word"]


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
            "special": True, **flags}


def unnamed(content, **flags):
    data = token(content, **flags)
    del data["special"]
    return data


VOCAB = {t: i for i, t in enumerate(["<eos>", "<unk>", "a", "b", " ", "<", ">", "t", "<in>", "x"])}
BASE = {"version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": 0, **token("<eos>")}, {"id": 10, **token("<x>", normalized=True, special=False)}],
        "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": VOCAB, "merges": []}}

# name: (tokenizer_config.json, special_tokens_map.json, added_tokens.json)
CASES = {
    "none": ({}, None, None),
    "added_tokens": ({}, None, {"<tool>": 11}),
    "added_tokens_in_vocabulary": ({}, None, {"<in>": 8}),
    "added_tokens_by_id": ({}, None, {"<b>": 12, "<a>": 11}),
    "added_tokens_other_id": ({}, None, {"<tool>": 15}),
    "added_tokens_and_config_additional": ({"additional_special_tokens": ["<tool>"]}, None, {"<tool>": 11}),
    "added_tokens_and_map_additional": ({}, {"additional_special_tokens": ["<tool>"]}, {"<tool>": 11}),
    "added_tokens_named": ({"pad_token": "<tool>"}, None, {"<tool>": 11}),
    "decoder": ({"added_tokens_decoder": {"11": token("<tool>")}}, None, None),
    "decoder_not_special": ({"added_tokens_decoder": {"11": token("<tool>", special=False, normalized=True)}}, None, None),
    "decoder_by_id": ({"added_tokens_decoder": {"12": token("<b>"), "11": token("<a>")}}, None, None),
    "decoder_other_id": ({"added_tokens_decoder": {"15": token("<tool>")}}, None, None),
    "decoder_flags": ({"added_tokens_decoder": {"0": token("<eos>", lstrip=True, rstrip=True)}}, None, None),
    "decoder_flags_special": ({"added_tokens_decoder": {"10": token("<x>", rstrip=True)}}, None, None),
    "decoder_flags_not_special": ({"added_tokens_decoder": {"0": token("<eos>", special=False, single_word=True)}}, None, None),
    "decoder_and_added_tokens": ({"added_tokens_decoder": {"11": token("<tool>")}}, None, {"<img>": 12}),
    "decoder_and_map": ({"added_tokens_decoder": {"11": token("<tool>")}}, {"additional_special_tokens": ["<img>"]}, None),
    "decoder_named_not_special": ({"added_tokens_decoder": {"11": token("<tool>", special=False)}, "pad_token": "<tool>"}, None, None),
    "decoder_and_additional": ({"added_tokens_decoder": {"11": token("<tool>")}, "additional_special_tokens": ["<img>", "<tool>"]}, None, None),
    "additional": ({"additional_special_tokens": ["<tool>", "<in>"]}, None, None),
    "additional_empty": ({"additional_special_tokens": [""]}, None, None),
    "extra_object": ({"extra_special_tokens": {"z_token": "<img>", "a_token": "<tool>"}}, None, None),
    "extra_list": ({"extra_special_tokens": ["<img>"]}, None, None),
    "other_named": ({"image_token": "<img>", "boi_token": "<tool>"}, None, None),
    "mask_and_other_named": ({"image_token": "<img>", "mask_token": "<tool>"}, None, None),
    "named_in_vocabulary": ({"eos_token": "<in>", "pad_token": "<eos>"}, None, None),
    "named_object": ({"eos_token": {"__type": "AddedToken", **token("<in>", lstrip=True, special=False)}}, None, None),
    "map_named": ({}, {"eos_token": "<in>", "pad_token": unnamed("<eos>")}, None),
    "map_named_flags": ({}, {"eos_token": unnamed("<in>", lstrip=True)}, None),
    "map_keeps_flags": ({}, {"eos_token": unnamed("<eos>", lstrip=True)}, None),
    "map_over_config": ({"eos_token": "<eos>"}, {"eos_token": "<in>"}, None),
    "map_additional": ({}, {"additional_special_tokens": ["<tool>"]}, None),
    "map_and_config_additional": ({"additional_special_tokens": ["<img>"]}, {"additional_special_tokens": ["<tool>"]}, None),
    "map_extra": ({}, {"extra_special_tokens": ["<tool>", unnamed("<img>", lstrip=True)]}, None),
    "map_other_named": ({}, {"image_token": "<img>"}, None),
    "map_additional_objects": ({}, {"additional_special_tokens": [unnamed("<tool>", lstrip=True)]}, None),
}


def result(folder, config, special_map, added):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    config = {**config, "tokenizer_class": "PreTrainedTokenizerFast"}
    for name, content in (("tokenizer", BASE), ("tokenizer_config", config), ("special_tokens_map", special_map),
                          ("added_tokens", added)):
        if content is not None:
            with open(f"{folder}/{name}.json", "w") as f:
                json.dump(content, f)
    case = {"config": config, "map": special_map, "added": added}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (TypeError, ValueError):
        return case
    tokens = [[i, t.content, " ".join(f for f in FLAGS if getattr(t, f))]
              for i, t in sorted(tokenizer.added_tokens_decoder.items())]
    return {**case, "tokens": tokens, "ids": tokenizer(TEXT, add_special_tokens=False)["input_ids"],
            "eos": tokenizer.eos_token or "", "pad": tokenizer.pad_token or ""}


def main():
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        cases = {name: result(folder + "/m", *case) for name, case in CASES.items()}
    path = os.path.join(ROOT, "tests", "golden", "special_tokens.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"transformers": transformers.__version__, "text": TEXT, "base": BASE, "cases": cases}, f,
                  ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
