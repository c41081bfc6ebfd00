#!/usr/bin/env python3
"""Writes tests/golden/containers: one small data set in every container that Lorikeet reads (src/data/container.h).

Usage: tools/container_goldens.py      (needs pyarrow and zstandard; tools/requirements.txt)

The rows are the same in all files, where the container can say as much: a text with quotes, commas, line ends and
letters beyond ASCII, a list of messages with absent values, numbers, and a column that is empty in one row.
"""
import gzip
import io
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "containers"
ROWS = [
    {"messages": [{"role": "user", "content": 'Say "a, b"\nand stop.', "weight": None},
                  {"role": "assistant", "content": "a, b", "weight": 1}],
     "source": "made", "score": 0.5},
    {"messages": [{"role": "user", "content": "Grüße, мир 你好", "weight": None},
                  {"role": "assistant", "content": "42", "weight": None}],
     "source": None, "score": 2.0},
]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    (OUT / "rows.jsonl").write_bytes(lines)
    half = lines.index(b"\n") + 1
    # Two members, as `cat a.gz b.gz` makes them.
    (OUT / "rows.jsonl.gz").write_bytes(
        gzip.compress(lines[:half], mtime=0) + gzip.compress(lines[half:], mtime=0))
    (OUT / "rows.jsonl.zst").write_bytes(zstandard.ZstdCompressor(level=3, write_checksum=True).compress(lines))

    table = pa.Table.from_pylist(ROWS)
    table = table.set_column(1, "source", table["source"].dictionary_encode())
    pq.write_table(table, OUT / "rows.parquet", compression="zstd", row_group_size=1)
    folder = OUT / "dataset"
    folder.mkdir(exist_ok=True)
    for part in range(2):
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(part, 1))
        (folder / f"data-0000{part}-of-00002.arrow").write_bytes(sink.getvalue())
    names = [{"filename": f"data-0000{part}-of-00002.arrow"} for part in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": names, "_split": None}) + "\n")
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (OUT / "rows.arrow").write_bytes(sink.getvalue())


if __name__ == "__main__":
    main()
