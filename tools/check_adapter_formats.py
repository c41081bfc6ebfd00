#!/usr/bin/env python3
"""Checks adapters in the formats of mlx-lm and llama.cpp against the programs that define them.

check_adapter_formats.py --lorikeet BIN [--llama-cpp DIR]
    For adapters of tests/golden/model/: `lorikeet convert` writes both formats.
    mlx-lm, if it can be imported, loads model and adapter and must give the golden logits of peft.
    llama.cpp's convert_lora_to_gguf.py, if its source folder is given, converts the same adapter: every tensor must
    have the same name, shape and bits, and its file, read by lorikeet, must equal the peft adapter.
    Exit status 1 if something differs, 2 if nothing could be checked.

Made with mlx-lm 0.32 (CPU), gguf 0.19, and the llama.cpp of llama-cpp-python 0.3.36.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

MODELS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
FAMILIES = ["llama", "llama3", "qwen2", "qwen3"]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def say(ok, what):
    print(("ok     " if ok else "FAILED ") + what)
    return ok


def peft_factors(folder):
    return load_file(folder / "adapter_model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a)


def mlx_logits(model_dir, adapter_dir, expected):
    import mlx.core as mx
    from mlx_lm.utils import load_adapters, load_model
    model, _ = load_model(model_dir)
    model = load_adapters(model, str(adapter_dir))
    rows = []
    for begin, end in zip(expected["offsets"][:-1], expected["offsets"][1:]):
        tokens = mx.array(expected["tokens"][begin:end][None].astype(np.int32))
        rows.append(np.array(model(tokens)[0].astype(mx.float32)))
    return np.concatenate(rows)


def check_mlx(lorikeet, family, tmp):
    model = MODELS / family
    run(lorikeet, "convert", model / "adapter", tmp / "mlx", "--to", "mlx")
    expected = load_file(model / "expected.safetensors")
    got = mlx_logits(model, tmp / "mlx", expected)
    wanted, base = expected["lora_logits"], expected["logits"]
    error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    effect = np.linalg.norm(base - wanted) / np.linalg.norm(wanted)
    return say(error < 1e-4 < effect, f"{family}: mlx-lm's logits, relative error {error:.1e} "
               f"where the adapter moves them by {effect:.1e}")


def gguf_tensors(path):
    import gguf
    return {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}


def check_gguf(lorikeet, llama_cpp, family, tmp):
    model, ours, theirs = MODELS / family, tmp / "ours.gguf", tmp / "theirs.gguf"
    run(lorikeet, "convert", model / "adapter", ours, "--to", "gguf", "--base", model)
    run(sys.executable, llama_cpp / "convert_lora_to_gguf.py", "--base", model, "--outfile", theirs, model / "adapter")
    ok = say(same(gguf_tensors(ours), gguf_tensors(theirs)), f"{family}: the tensors of convert_lora_to_gguf.py")
    original = peft_factors(model / "adapter")
    for name, path in ("own", ours), ("llama.cpp's", theirs):
        folder = tmp / ("peft from " + path.stem)
        run(lorikeet, "convert", path, folder, "--to", "peft", "--base", model)
        ok &= say(same(peft_factors(folder), original), f"{family}: peft again from {name} GGUF file")
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lorikeet", required=True)
    parser.add_argument("--llama-cpp", type=pathlib.Path, help="source folder with convert_lora_to_gguf.py")
    arguments = parser.parse_args()
    results = []
    try:
        import mlx_lm  # noqa: F401
        has_mlx = True
    except ImportError:
        print("mlx-lm is not installed: its format is not checked")
        has_mlx = False
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            tmp = pathlib.Path(folder)
            if has_mlx:
                results.append(check_mlx(arguments.lorikeet, family, tmp))
            if arguments.llama_cpp:
                results.append(check_gguf(arguments.lorikeet, arguments.llama_cpp, family, tmp))
    return 2 if not results else 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
