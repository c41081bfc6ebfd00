#!/usr/bin/env python3
"""Compares logits of tiny models of every family in llama.cpp, from GGUF files in f32, with those of Lorikeet.

llama_cpp_logits.py --lorikeet BIN [--tokens 96] [FAMILY ...]
    For each folder of tests/golden/model `lorikeet convert` writes a GGUF file; where the golden has what llama.cpp
    cannot compute, from a copy that is changed as below, or not at all. Both programs get the same ids. Prints the
    largest difference of a logit, and the largest logit. exaone4_64 is exaone4_full with its layers repeated: only models
    of 64 layers have windows there. olmo3 has four layers, because older versions of llama.cpp take every fourth layer to
    have no window, without asking the file. Windows that llama.cpp does not compute end the sequence (phi3, starcoder2). Exit
    status 1 if logits differ by more than 1e-2 of the largest: ggml's GELU is rounded to f16.

Needs llama-cpp-python (made with 0.3.36), numpy and safetensors.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from llama_cpp import Llama
from safetensors.numpy import load_file, save_file

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
NO_WINDOW = {"sliding_window": None, "layer_types": None}
# Keys to replace (None: to remove) and parts of names of tensors to leave out; None: nothing helps.
CHANGES = {
    "ernie4_5": ({"use_bias": False}, [".bias"]),
    "exaone4": None,
    "gemma2": ({"query_pre_attn_scalar": 16}, []),
    "gemma3": ({"query_pre_attn_scalar": 16}, []),
    "gemma3_layer_types": ({"attention_bias": False, "query_pre_attn_scalar": 16}, [".bias"]),
    "gemma3_wrapper": ({"query_pre_attn_scalar": 16}, []),
    "mistral_window": (NO_WINDOW, []),
    "mistral_layer_types": (NO_WINDOW, []),
    "mixtral_window": (NO_WINDOW, []),
    "olmo3": ({"attention_bias": False, "num_hidden_layers": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
              [".bias"]),
    "olmoe": ({"num_key_value_heads": 4}, []),
    "qwen2_moe": ({"num_hidden_layers": 1, "mlp_only_layers": None}, ["layers.1."]),
    "qwen2_window": ({"use_sliding_window": False, "layer_types": None}, []),
    "qwen3_window": ({"use_sliding_window": False, "layer_types": None}, []),
    "qwen3_moe": ({"num_hidden_layers": 1, "mlp_only_layers": None}, ["layers.1.", "layers.2."]),
    "qwen3_moe_plain": None,
    "qwen3_moe_window": ({"use_sliding_window": False}, []),
    "smollm3": ({"no_rope_layer_interval": None}, []),
    "smollm3_window": ({"use_sliding_window": False, "no_rope_layers": None}, []),
    "exaone4_64": ({"num_hidden_layers": 64, "sliding_window": 33, "sliding_window_pattern": 4, "layer_types": None}, []),
}


def repeated_heads(name, tensor, times):
    """Each head of keys and values several times: the same function with more of them."""
    if times == 1 or not any(part in name for part in (".k_proj.", ".v_proj.", ".k_norm.")):
        return tensor
    heads = tensor.reshape(2, -1, *tensor.shape[1:])  # all such goldens have two
    return np.repeat(heads, times, axis=0).reshape(-1, *tensor.shape[1:])


def repeated_layers(tensors, layers):
    prefix = "model.layers."
    out = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    for name, tensor in tensors.items():
        if not name.startswith(prefix):
            continue
        number, rest = name[len(prefix):].split(".", 1)
        out |= {f"{prefix}{i}.{rest}": tensor for i in range(int(number), layers, 2)}
    return out


def changed_copy(family, folder):
    """A folder that a GGUF file can hold; None if there is none."""
    golden = GOLDENS / ("exaone4_full" if family == "exaone4_64" else family)
    change = CHANGES.get(family, ({}, []))
    if change is None:
        return None
    keys, left_out = change
    config = json.loads((golden / "config.json").read_text())
    text = config.get("text_config", config)
    times = keys.get("num_key_value_heads", 1) // (text["num_key_value_heads"] or 1) or 1
    for key, value in keys.items():
        text.pop(key, None)
        if value is not None or key == "sliding_window":
            text[key] = value
    tensors = {name: repeated_heads(name, tensor, times) for name, tensor in load_file(golden / "model.safetensors").items()
               if not any(part in name for part in left_out)}
    if keys.get("num_hidden_layers", 0) > 2:
        tensors = repeated_layers(tensors, keys["num_hidden_layers"])
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return text


def compare(args, family, folder):
    text = changed_copy(family, folder)
    if text is None:
        print(f"| {family} | refused | |", flush=True)
        return True
    tokens = args.tokens
    if family.startswith(("phi3", "starcoder2")):
        tokens = min(tokens, text["sliding_window"])
    ids = np.random.default_rng(1).integers(0, text["vocab_size"], tokens).tolist()
    (folder / "ids.jsonl").write_text(json.dumps({"tokens": ids}) + "\n")
    file, dump = folder / "m.gguf", folder / "logits.safetensors"
    subprocess.run([args.lorikeet, "convert", folder, file, "--dtype", "f32", "--overwrite"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([args.lorikeet, "eval", "--model", folder, "--data", folder / "ids.jsonl", "--dtype", "f32",
                    "--dump-logits", dump], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    expected = load_file(dump)["logits"][:tokens]
    llm = Llama(str(file), n_ctx=512, n_batch=512, verbose=False, n_threads=2, logits_all=True, type_k=0, type_v=0)
    llm.eval(ids)
    got = np.array(llm.scores[:tokens])
    largest, difference = np.abs(expected).max(), np.abs(got - expected).max()
    print(f"| {family} | {difference:.1e} | {largest:.1f} |", flush=True)
    return difference <= 1e-2 * largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lorikeet", required=True)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("families", nargs="*")
    args = parser.parse_args()
    if len(args.families) == 1:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(0 if compare(args, args.families[0], pathlib.Path(folder)) else 1)
    families = args.families or sorted([path.name for path in GOLDENS.iterdir() if path.is_dir()] + ["exaone4_64"])
    print("| family | largest difference of a logit | largest logit |\n|---|---|---|", flush=True)
    options = ["--lorikeet", args.lorikeet, "--tokens", str(args.tokens)]
    # A process for each: llama.cpp aborts on files that it does not expect.
    failed = [family for family in families if subprocess.run([sys.executable, __file__, *options, family]).returncode != 0]
    print(f"failed: {', '.join(failed)}" if failed else "all as expected")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
