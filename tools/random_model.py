#!/usr/bin/env python3
"""Writes a model folder of a real model's shape with random weights, for measuring speed and memory without the real
one: config.json and sharded bf16 safetensors in Hugging Face layout, without a tokenizer.

Matrices are normal with mean 0 and standard deviation 0.02, norms are 1. Needs numpy; uses a few MiB of memory for
models of any size. The same shape and seed give the same files.

    tools/random_model.py smollm2-1.7b /tmp/models/smollm2-1.7b
"""

import argparse
import json
import pathlib
import statistics
import struct
import sys
import zlib

import numpy as np

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "mlp_bias": False,
    "model_type": "llama",
    "rms_norm_eps": 1e-05,
    "torch_dtype": "bfloat16",
}
# Values in the configs of these models on the hub.
SHAPES = {
    "smollm2-135m": LLAMA | {
        "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 576, "intermediate_size": 1536,
        "max_position_embeddings": 8192, "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
        "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": True, "vocab_size": 49152,
    },
    "smollm2-1.7b": LLAMA | {
        "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 2048, "intermediate_size": 8192,
        "max_position_embeddings": 8192, "num_attention_heads": 32, "num_hidden_layers": 24, "num_key_value_heads": 32,
        "rope_scaling": None, "rope_theta": 130000, "tie_word_embeddings": True, "vocab_size": 49152,
    },
    "llama-3.1-8b": LLAMA | {
        "bos_token_id": 128000, "eos_token_id": 128001, "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 131072, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                         "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": False, "vocab_size": 128256,
    },
}
STD = 0.02
PIECE = 1 << 20  # elements drawn at once
BF16_ONE = 0x3F80


def tensors_of(config):
    """(name, shape) in the order in which transformers names them."""
    hidden, width = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    kv = head * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "self_attn.q_proj.weight", (hidden, hidden)
        yield prefix + "self_attn.k_proj.weight", (kv, hidden)
        yield prefix + "self_attn.v_proj.weight", (kv, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "mlp.gate_proj.weight", (width, hidden)
        yield prefix + "mlp.up_proj.weight", (width, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, width)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def elements(shape):
    return int(np.prod(shape, dtype=np.int64))


def shards_of(tensors, shard_bytes):
    """Lists of tensors, each of at most shard_bytes where its tensors allow."""
    shards, size = [[]], 0
    for name, shape in tensors:
        bytes_here = 2 * elements(shape)
        if shards[-1] and size + bytes_here > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += bytes_here
    return shards


def normal_table():
    """65536 equally likely values of the normal distribution as bf16: a draw is then one look-up."""
    inverse = statistics.NormalDist(0, STD).inv_cdf
    values = np.array([inverse((i + 0.5) / 65536) for i in range(65536)], dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)  # to nearest even
    return (rounded >> 16).astype(np.uint16)


def write_tensor(out, name, shape, seed, table):
    if len(shape) == 1:
        out.write(np.full(shape, BF16_ONE, dtype="<u2").tobytes())
        return
    random = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    left = elements(shape)
    while left > 0:
        count = min(left, PIECE)
        draws = np.frombuffer(random.bytes(2 * count), dtype=np.uint16)
        out.write(np.take(table, draws).astype("<u2", copy=False))
        left -= count


def write_shard(path, tensors, seed, table):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = at + 2 * elements(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            write_tensor(out, name, shape, seed, table)
    return at


def write_model(folder, config, seed, shard_bytes):
    folder.mkdir(parents=True, exist_ok=True)
    shards = shards_of(tensors_of(config), shard_bytes)
    table = normal_table()
    weight_map, total = {}, 0
    for number, tensors in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        total += write_shard(folder / name, tensors, seed, table)
        weight_map |= {tensor: name for tensor, _ in tensors}
        print(f"{folder / name}: {len(tensors)} tensors", file=sys.stderr)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=list(SHAPES))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard-mib", type=int, default=2048, help="largest file (default 2048)")
    options = parser.parse_args()
    if (options.folder / "model.safetensors").exists():
        sys.exit(f"{options.folder}: has a model.safetensors, which takes precedence over shards; use another folder")
    total = write_model(options.folder, SHAPES[options.shape], options.seed, options.shard_mib << 20)
    print(f"{options.folder}: {options.shape}, {total / 2 / 1e6:.1f} M weights, {total / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
