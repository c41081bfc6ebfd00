#!/usr/bin/env python3
"""Fails if a room of src/ includes what it may not, a library is used outside its room, a file is too long, or a
test stands away from what it tests. The table is that of ARCHITECTURE.md.

A room may include itself and the rooms in its row. Every row names only rooms above it in this table, so a table
that parses is free of cycles.

Usage: tools/check_layers.py [repository root]
       tools/check_layers.py --self-test
"""
import pathlib
import re
import sys
import tempfile

ROOMS = {
    "core": [],
    "tokenizer": ["core"],
    "distributed": ["core"],
    "kernels": ["core"],
    "checkpoint": ["core"],
    "model": ["core", "kernels", "checkpoint"],
    "data": ["core", "tokenizer", "model"],
    "sample": ["core", "kernels", "model"],
    "train": ["core", "kernels", "checkpoint", "distributed", "model", "data"],
    "rl": ["core", "tokenizer", "distributed", "model", "data", "sample", "train"],
    "serve": ["core", "checkpoint", "tokenizer", "model", "data", "sample", "train"],
    "study": ["core", "model", "data", "sample", "train", "rl"],
    "cli": ["core", "tokenizer", "distributed", "checkpoint", "model", "data", "sample", "train", "rl", "serve",
            "study"],
}
# Some rooms may see a single header of another: data knows what a batch is, and nothing else of the model.
NARROW = {("data", "model"): {"model/batch.h"}}
# A library's headers, and the rooms where they may appear.
LIBRARIES = {
    r"omp\.h$": ["core"],
    r"CLI/": ["core"],
    r"yaml-cpp/": ["core"],
    r"nlohmann/": ["core"],
    r"fmt/": list(ROOMS),
    r"pcre2\.h$": ["tokenizer"],
    r"utf8proc\.h$": ["tokenizer"],
    r"(oneapi/dnnl/|dnnl)": ["kernels"],
    r"hwy/": ["kernels"],
    r"mpi\.h$": ["distributed"],
    r"httplib\.h$": ["rl", "serve"],
    r"openssl/": ["rl", "serve"],
}
# Tests of a whole room may be named after what they hold it against, rather than after a file.
ROOM_TESTS = {"bits", "corpus", "golden", "golden_steps"}
TEST_LIBRARIES = r"(gtest|gmock)/"
MAX_LINES = 600
INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')


def is_test(path):
    """A test, or a header that only tests include (x_testing.h, x_for_test.h)."""
    return path.stem.endswith(("_test", "_fuzz", "_testing"))


def library_error(room, path, header):
    if re.match(TEST_LIBRARIES, header):
        return None if is_test(path) else f"{header} belongs in tests"
    for pattern, homes in LIBRARIES.items():
        if re.match(pattern, header):
            return None if room in homes else f"{header} belongs in {', '.join(homes)}"
    if "/" in header and not re.match(r"(sys|linux|asm|arpa|netinet|net|bits)/", header):
        return f"{header} is of a library that no room declares; add it to LIBRARIES"
    return None


def include_error(room, path, quote, header):
    top = header.split("/")[0]
    if quote == "<" and top not in ROOMS:
        return library_error(room, path, header)
    if "/" not in header:
        return f'include {header} by its full path from src/'
    if top == room or top not in ROOMS:
        return None if top in ROOMS else library_error(room, path, header)
    if top not in ROOMS[room]:
        return f"{room} may not include {top}"
    narrow = NARROW.get((room, top))
    if narrow and header not in narrow and not is_test(path):
        return f"{room} may include only {', '.join(sorted(narrow))} of {top}"
    return None


def placement_errors(root, path):
    """A test stands beside a source or header of its name, or tests a whole room: core/core_test.cc."""
    if path.suffix != ".cc" or not is_test(path):
        return []
    subject = path.stem.rsplit("_", 1)[0]
    room = path.relative_to(root / "src").parts[0]
    beside = [path.with_name(subject + end) for end in (".h", ".cc")]
    if subject == room or subject in ROOM_TESTS or any(p.exists() for p in beside):
        return []
    # model_source_hub_test.cc may test model_source.h: a longer name for one side of a subject.
    parts = subject.split("_")
    shorter = ["_".join(parts[:n]) for n in range(1, len(parts))]
    if any(path.with_name(s + end).exists() for s in shorter for end in (".h", ".cc")):
        return []
    return [f"{path.relative_to(root)}: no {subject}.h or {subject}.cc beside it; move the test, or into tests/"]


def file_errors(root, path):
    here, text = path.relative_to(root), path.read_text(encoding="utf-8")
    parts = path.relative_to(root / "src").parts
    lines = text.splitlines()
    errors = []
    if len(lines) > MAX_LINES:
        errors.append(f"{here}: {len(lines)} lines, limit {MAX_LINES}")
    if len(parts) < 2 or parts[0] not in ROOMS:
        return errors + [f"{here}: in no room; rooms are {', '.join(ROOMS)}"]
    # x-inl.h is included once for every SIMD target and guards itself.
    if path.suffix == ".h" and "#pragma once" not in lines and not path.stem.endswith("-inl"):
        errors.append(f"{here}: no #pragma once")
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        error = match and include_error(parts[0], path, match[1], match[2])
        if error:
            errors.append(f"{here}:{number}: {error}")
    return errors + placement_errors(root, path)


def check(root):
    errors, above = [], set()
    for room, allowed in ROOMS.items():
        errors += [f"ROOMS: {room} names {a}, which is not above it" for a in allowed if a not in above]
        above.add(room)
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in (".h", ".cc"):
            errors += file_errors(root, path)
        elif path.is_dir() and path.name in ("utils", "util", "common", "misc"):
            errors.append(f"{path.relative_to(root)}: a name that says nothing; name what it does")
    return errors


def self_test():
    cases = {
        "core/a.h": ("#pragma once\n#include <yaml-cpp/yaml.h>\n", []),
        "core/b.h": ("", ["no #pragma once"]),
        "core/c.cc": ('#include "model/x.h"\n', ["core may not include model"]),
        "kernels/a.cc": ('#include <dnnl.hpp>\n#include <omp.h>\n', ["omp.h belongs in core"]),
        "model/a.cc": ('#include "a.h"\n', ["full path"]),
        "data/a.cc": ('#include "model/batch.h"\n#include "model/weights.h"\n', ["only model/batch.h"]),
        "data/a_test.cc": ('#include <gtest/gtest.h>\n#include "model/weights.h"\n', []),
        "data/lost_test.cc": ("", ["beside it"]),
        "train/a.cc": ("\n" * 601, ["601 lines"]),
        "train/b.cc": ("#include <gtest/gtest.h>\n", ["belongs in tests"]),
        "sample/a.cc": ("#include <boost/any.hpp>\n", ["no room declares"]),
        "cli/a.cc": ('#include "kernels/matmul.h"\n', ["cli may not include kernels"]),
        "attic/a.cc": ("", ["in no room"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (text, _) in cases.items():
            path = root / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        errors = check(root)
        for name, (_, expected) in cases.items():
            found = [e for e in errors if e.startswith(f"src/{name}:")]
            assert len(found) == len(expected), (name, found)
            assert all(want in e for want, e in zip(expected, found)), (name, found)
    print(f"self-test ok: {len(cases)} cases")


def main():
    if "--self-test" in sys.argv:
        return self_test()
    errors = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    print("\n".join(errors) or "layers ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
