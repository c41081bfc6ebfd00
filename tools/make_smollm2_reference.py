#!/usr/bin/env python3
"""Turns the SmolLM2 GGUF into an f32 Hugging Face folder and records the results of transformers.

The weights are decoded and renamed here, from the block formats, and compared bit for bit with the GGUF loader of
transformers: two independent implementations, so that no mistake of one becomes the reference. Writes reference.json
(NLL of tests/golden/smollm2/text.txt, a greedy answer) and ids.jsonl beside the text.
"""

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from tokenizers import pre_tokenizers

from reference_model import chunked, load_model, mean_nll, quiet, versions
from reference_nll import write_token_lines

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "golden" / "smollm2"
MAX_LENGTH = 512
PROMPT = "What is the capital of France, and what is it known for?"
NEW_TOKENS = 40

HF_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hf_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    block, layer, part, _ = name.split(".")
    assert block == "blk"
    return f"model.layers.{layer}.{HF_NAMES[part]}.weight"


def unpermute(weight, heads):
    """Rows of a head lie in llama.cpp as pairs (i, i + Dh/2); Hugging Face keeps the two halves apart."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def decode_q8_0(raw):
    """Blocks of 32 values in 34 bytes: f16 scale, 32 signed bytes; value = scale * byte."""
    blocks = raw.reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return scale * blocks[:, 2:].view(np.int8).astype(np.float32)


def decode_q4_1(raw):
    """Blocks of 32 values in 20 bytes: f16 scale, f16 minimum, 16 bytes; low nibbles are the first 16 values."""
    blocks = raw.reshape(-1, 20)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    minimum = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return scale * nibbles.astype(np.float32) + minimum


DECODERS = {"F32": lambda raw: raw, "Q8_0": decode_q8_0, "Q4_1": decode_q4_1}


def dequantised(reader):
    """{Hugging Face name: f32 tensor}."""
    heads = {
        "attn_q": reader.fields["llama.attention.head_count"].contents(),
        "attn_k": reader.fields["llama.attention.head_count_kv"].contents(),
    }
    weights = {}
    for tensor in reader.tensors:
        values = DECODERS[tensor.tensor_type.name](np.array(tensor.data))
        values = values.reshape([int(n) for n in reversed(tensor.shape)])  # GGUF lists the fastest dimension first
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = unpermute(values, heads[part])
        weights[hf_name(tensor.name)] = torch.from_numpy(values)
    return weights


def write_folder(gguf_file, out):
    """Writes the Hugging Face folder; returns the largest difference between the two dequantisations.

    A model from transformers' GGUF loader refuses to be saved, so the folder holds the weights dequantised here.
    """
    place = {"pretrained_model_name_or_path": str(gguf_file.parent), "gguf_file": gguf_file.name}
    loaded = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    own = dequantised(gguf.GGUFReader(gguf_file))
    theirs = dict(loaded.named_parameters())  # the tied lm_head is listed once
    assert sorted(own) == sorted(theirs), sorted(set(own) ^ set(theirs))

    config = loaded.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        config.pop(key, None)
    config = transformers.LlamaConfig(**config)
    model = transformers.LlamaForCausalLM(config)
    missing = model.load_state_dict(own, strict=False)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys, missing
    model.save_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
    # transformers' GGUF loader leaves tokenizer.ggml.pre unread; "smollm" splits off every digit first.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.save_pretrained(out)
    return max((own[name] - theirs[name]).abs().max().item() for name in own)


@torch.no_grad()
def greedy_answer(model, tokenizer):
    messages = [{"role": "user", "content": PROMPT}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False,
        repetition_penalty=1.0, pad_token_id=tokenizer.eos_token_id, output_scores=True, return_dict_in_generate=True,
    )
    new = out.sequences[0, ids.shape[1]:].tolist()
    best = torch.cat(out.scores).topk(2).values  # (tokens, 2)
    return {
        "messages": messages, "rendered": prompt, "prompt_ids": ids[0].tolist(), "new_ids": new,
        "smallest_margin": (best[:, 0] - best[:, 1]).min().item(),  # tolerance of logits for the same answer
        "text": tokenizer.decode(new, skip_special_tokens=True),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the f32 Hugging Face folder to write")
    options = parser.parse_args()
    quiet()
    difference = write_folder(options.gguf, options.out)
    print(f"largest difference between the two dequantisations: {difference}")
    assert difference == 0.0

    tokenizer = transformers.AutoTokenizer.from_pretrained(options.out)
    text = (FIXTURES / "text.txt").read_text(encoding="utf-8")
    sequences = chunked(tokenizer(text, add_special_tokens=False)["input_ids"], MAX_LENGTH)
    write_token_lines(FIXTURES / "ids.jsonl", sequences)
    model = load_model(options.out)
    nll, predicted = mean_nll(model, sequences)
    reference = {
        "model": options.gguf.name,
        "model_sha256": hashlib.sha256(options.gguf.read_bytes()).hexdigest(),
        "dtype": "f32",
        "max_length": MAX_LENGTH,
        "nll": nll,
        "predicted_tokens": predicted,
        "tokens": sum(len(s) for s in sequences),
        "sequences": len(sequences),
        "greedy": greedy_answer(model, tokenizer),
        "versions": versions(),
    }
    (FIXTURES / "reference.json").write_text(json.dumps(reference, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(reference, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
