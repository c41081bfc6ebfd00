#!/usr/bin/env python3
"""Writes src/checkpoint/iq_grids.cc: the tables of GGUF's IQ formats, as the `gguf` package has them.

A row of a grid is one 16-bit word: eight 2-bit or four 4-bit indices of levels, the first in the lowest bits.

Usage: tools/gguf_grids.py   (needs numpy, gguf; made with gguf 0.19.0; clang-format formats the result)
"""

import pathlib
import subprocess

import numpy as np
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent.parent / "src" / "checkpoint" / "iq_grids.cc"
GRIDS = ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]

HEAD = """// Tables of GGUF's IQ formats, written by tools/gguf_grids.py; do not edit. Their values are those of
// llama.cpp (MIT licence, Copyright (c) 2023-2026 The ggml authors).
#include "checkpoint/iq_grids.h"

namespace lorikeet {
"""


def words(cls):
    """One word for each row of the grid."""
    cls.init_grid()
    rows = np.asarray(cls.grid).reshape(cls.grid_shape)
    levels = list(cls.grid_map)
    bits = 16 // cls.grid_shape[1]
    return [sum(levels.index(value) << (bits * i) for i, value in enumerate(row)) for row in rows]


def main():
    text = HEAD
    for name in GRIDS:
        values = words(getattr(quants, name))
        text += f"\nconst uint16_t k{name.title().replace('_', '')}Grid[{len(values)}] = {{"
        text += ", ".join(f"0x{value:04x}" for value in values) + "};\n"
    OUT.write_text(text + "\n}  // namespace lorikeet\n")
    subprocess.run(["clang-format", "-i", str(OUT)], check=True)


if __name__ == "__main__":
    main()
