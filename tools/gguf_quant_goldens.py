#!/usr/bin/env python3
"""Writes tests/golden/gguf/quantised.gguf: f32 values, and the blocks that ggml makes of them.

Tensor "values" (24, 256) f32; "q8_0", "q4_0", "q5_0", "q4_k", "q5_k" and "q6_k" the same values in these types, by
ggml_quantize_chunk of llama.cpp's libggml-base without an importance matrix. The first three are compared with the
`gguf` package, whose functions are written independently.

Usage: tools/gguf_quant_goldens.py LIBGGML_BASE_SO   (needs numpy, gguf; made with gguf 0.19.0 and the
libggml-base.so of llama-cpp-python 0.3.36, built for x86-64 without -march flags, which has no fused multiply-adds)
"""

import ctypes
import pathlib
import sys

import gguf
import numpy as np
from gguf.quants import quantize

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "gguf" / "quantised.gguf"
Q = gguf.GGMLQuantizationType
TYPES = [Q.Q8_0, Q.Q4_0, Q.Q5_0, Q.Q4_K, Q.Q5_K, Q.Q6_K]
IN_PACKAGE = TYPES[:3]


def values():
    """Rows of one kind each: scales from 1e-8 to 1e4, outliers, zeros, constants, one sign, ties."""
    rng = np.random.default_rng(51)
    rows = [rng.normal(0, scale, 256) for scale in (1, 0.02, 1e-4, 1e-8, 30, 1e4)]
    rows += [rng.standard_t(2, 256) * 0.05 for _ in range(3)]
    rows += [np.abs(rng.normal(0, 1, 256)), -np.abs(rng.normal(0, 1, 256)), rng.uniform(0.9, 1.1, 256)]
    rows += [np.zeros(256), np.full(256, 0.75), np.full(256, -0.75), np.round(rng.normal(0, 3, 256))]
    spike = rng.normal(0, 0.01, 256)
    spike[17], spike[200] = 9, -11
    zeros_between = np.where(rng.uniform(size=256) < 0.8, 0, rng.normal(0, 1, 256))
    half_zero = np.concatenate([np.zeros(128), rng.normal(0, 1, 128)])
    groups = rng.normal(0, 1, 256) * np.repeat(10.0 ** rng.uniform(-4, 1, 16), 16)
    rows += [spike, zeros_between, half_zero, groups, rng.normal(1, 0.1, 256), rng.normal(-1, 0.1, 256)]
    rows += [rng.choice([-1.0, 1.0], 256), rng.integers(-8, 8, 256) / 8]
    return np.array(rows, dtype=np.float32)


def ggml_quantize(library, x, qtype):
    block, size = gguf.GGML_QUANT_SIZES[qtype]
    out = np.zeros((x.shape[0], x.shape[1] // block * size), dtype=np.uint8)
    pointer = ctypes.POINTER(ctypes.c_float)
    written = library.ggml_quantize_chunk(
        ctypes.c_int(qtype.value), x.ctypes.data_as(pointer), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
        ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), pointer())
    assert written == out.nbytes, (qtype, written, out.nbytes)
    return out


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    x = values()
    writer = gguf.GGUFWriter(OUT, "none")
    writer.add_tensor("values", x)
    for qtype in TYPES:
        data = ggml_quantize(library, x, qtype)
        if qtype in IN_PACKAGE:
            assert (data == quantize(x, qtype)).all(), qtype
        writer.add_tensor(qtype.name.lower(), data, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
