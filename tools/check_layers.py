#!/usr/bin/env python3
"""Fails if a module of src/ includes what it may not, a library is used outside its module, a file is too long, or a
test is not beside the file that it tests. The table is src/modules.txt; ARCHITECTURE.md is compared with it.

Usage: tools/check_layers.py [repository root]
       tools/check_layers.py --self-test
"""
import pathlib
import re
import sys
import tempfile

# A library's headers, by pattern. They may appear only in modules that name the library in src/modules.txt.
LIBRARIES = {
    r"omp\.h$": "openmp",
    r"CLI/": "cli11",
    r"yaml-cpp/": "yaml-cpp",
    r"nlohmann/": "nlohmann-json",
    r"fmt/": "fmt",
    r"pcre2\.h$": "pcre2",
    r"zlib\.h$": "zlib",
    r"zstd\.h$": "zstd",
    r"(arrow|parquet)/": "arrow",
    r"sqlite3\.h$": "sqlite",
    r"utf8proc\.h$": "utf8proc",
    r"(oneapi/dnnl/|dnnl)": "onednn",
    r"hwy/": "highway",
    r"mpi\.h$": "mpi",
    r"(gmp|gmpxx|mpfr)\.h$": "mpfr",
    r"httplib\.h$": "cpp-httplib",
    r"boost/": "boost",
    r"openssl/": "openssl",
    r"sqlite3\.h$": "sqlite",
}
EVERYWHERE = {"fmt"}  # every module formats its own messages
# Tests of a whole module may be named after their reference instead of a file.
MODULE_TESTS = {"bits", "corpus", "golden", "golden_steps"}
TEST_LIBRARIES = r"(gtest|gmock)/"
MAX_LINES = 600
# Where a dry run may be asked for without a trace line: the trace itself, and routing, which has no values then.
DRY_KERNELS = ("kernels/trace.h", "kernels/expert_rows.h")
INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')
LINE = re.compile(r"(module|folder|door) ([a-z0-9_/-]+):([^|]*)(?:\|(.*))?$")


class Table:
    """src/modules.txt: for every module or sub-folder what it may include, its libraries, and the doors."""

    def __init__(self, path):
        self.allowed, self.libraries, self.doors, self.errors = {}, {}, {}, []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self.read(line, f"src/{path.name}:{number}")

    def read(self, line, where):
        match = LINE.match(line)
        if not match:
            self.errors.append(f"{where}: cannot read '{line}'")
            return
        kind, name, values = match[1], match[2], match[3].split()
        if kind == "door":
            self.doors[name] = set(values)
            return
        if kind == "module":
            self.libraries[name] = (match[4] or "").split()
        self.errors += [f"{where}: {name} names {value}, which is not above it"
                        for value in values if value.split("/")[0] not in self.allowed]
        self.allowed[name] = values

    def modules(self):
        return list(self.libraries)

    def place(self, parts):
        """The innermost row for a file with these parts below src/."""
        folders = ["/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
        return next((f for f in folders if f in self.allowed), None)


def is_test(path):
    """A test, or a header that only tests include (x_for_test.h)."""
    return path.stem.endswith(("_test", "_fuzz", "_for_test"))


def library_error(table, module, path, header):
    if re.match(TEST_LIBRARIES, header):
        return None if is_test(path) else f"{header} belongs in tests"
    for pattern, library in LIBRARIES.items():
        if re.match(pattern, header):
            homes = [m for m, libraries in table.libraries.items() if library in libraries]
            ok = library in EVERYWHERE or module in homes
            return None if ok else f"{header} belongs in {', '.join(homes)}"
    if "/" in header and not re.match(r"(sys|linux|asm|arpa|netinet|net|bits)/", header):
        return f"{header} is of a library that no module declares; add it to LIBRARIES"
    return None


def door_error(table, here, header):
    """`here` and `header` are paths below src/."""
    for folder, doors in table.doors.items():
        inside = header.startswith(folder + "/")
        if not inside or here.startswith(folder + "/") or header in doors or here in doors:
            continue
        return f"{header} lies behind a door; include {' or '.join(sorted(doors))}"
    return None


def include_error(table, here, path, quote, header):
    top, module = header.split("/")[0], here.split("/")[0]
    if quote == "<" and top not in table.allowed:
        return library_error(table, module, path, header)
    if "/" not in header:
        return f"include {header} by its full path from src/"
    if top not in table.allowed:
        return library_error(table, module, path, header)
    row = table.place(here.split("/"))
    allowed = table.allowed[row]
    if row == module and top == module:
        return None if is_test(path) else door_error(table, here, header)
    if header.startswith(row + "/") or header in allowed:
        return None
    if top not in [a.split("/")[0] for a in allowed]:
        return f"{row} may not include {top}"
    if top not in allowed and not is_test(path):
        narrow = [a for a in allowed if a.startswith(top + "/")]
        return f"{row} may include only {', '.join(narrow)} of {top}"
    return None if is_test(path) else door_error(table, here, header)


def placement_errors(root, path):
    """A test is beside a source or header of its name, or tests a whole module: core/core_test.cc."""
    if path.suffix != ".cc" or not is_test(path):
        return []
    subject = path.stem.rsplit("_", 1)[0]
    parts = path.relative_to(root / "src").parts
    if subject == parts[0] or subject in MODULE_TESTS:
        return []
    # model_source_hub_test.cc may test model_source.h, math/math_grader_fuzz.cc grader.h.
    words = subject.split("_")
    names = ["_".join(words[:n]) for n in range(1, len(words) + 1)]
    if len(parts) > 2 and words[0] == parts[-2]:
        names.append("_".join(words[1:]))
    if any(path.with_name(name + end).exists() for name in names for end in (".h", ".cc")):
        return []
    return [f"{path.relative_to(root)}: no {subject}.h or {subject}.cc beside it; move the test, or into tests/"]


def file_errors(root, table, path):
    name, text = path.relative_to(root), path.read_text(encoding="utf-8")
    here = str(path.relative_to(root / "src"))
    lines = text.splitlines()
    errors = []
    if len(lines) > MAX_LINES:
        errors.append(f"{name}: {len(lines)} lines, limit {MAX_LINES}")
    if here.split("/")[0] not in table.libraries or "/" not in here:
        return errors + [f"{name}: in no module; modules are {', '.join(table.modules())}"]
    # x-inl.h is included once for every SIMD target and guards itself.
    if path.suffix == ".h" and "#pragma once" not in lines and not path.stem.endswith("-inl"):
        errors.append(f"{name}: no #pragma once")
    for number, line in enumerate(lines, 1):
        # A kernel that leaves a dry run by itself would be in no plan: `Kernel here` has dry().
        if "DryScope::active" in line and here.startswith("kernels/") and here not in DRY_KERNELS and not is_test(path):
            errors.append(f"{name}:{number}: a kernel asks its trace line: here.dry() (kernels/trace.h)")
        match = INCLUDE.match(line)
        error = match and include_error(table, here, path, match[1], match[2])
        if error:
            errors.append(f"{name}:{number}: {error}")
    return errors + placement_errors(root, path)


def page_errors(root, table):
    """The table of modules in ARCHITECTURE.md: `name` | what it holds | may include | libraries."""
    page = root / "ARCHITECTURE.md"
    if not page.exists():
        return ["ARCHITECTURE.md is missing"]
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4 and re.fullmatch(r"`[a-z]+`", cells[0]):
            rows[cells[0].strip("`")] = (cells[2].replace("`", "").split(), cells[3].replace("`", "").split())
    errors = []
    if list(rows) != table.modules():
        errors.append(f"ARCHITECTURE.md: modules {' '.join(rows)}, src/modules.txt: {' '.join(table.modules())}")
    for name, (allowed, libraries) in rows.items():
        if name in table.libraries and allowed != table.allowed[name]:
            errors.append(f"ARCHITECTURE.md: {name} may include '{' '.join(allowed)}', src/modules.txt says "
                          f"'{' '.join(table.allowed[name])}'")
        if name in table.libraries and libraries != table.libraries[name]:
            errors.append(f"ARCHITECTURE.md: {name} uses '{' '.join(libraries)}', src/modules.txt says "
                          f"'{' '.join(table.libraries[name])}'")
    return errors


def check(root):
    table = Table(root / "src" / "modules.txt")
    errors = list(table.errors)
    errors += [f"src/modules.txt: no folder src/{name}" for name in table.allowed
               if not (root / "src" / name).is_dir()]
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in (".h", ".cc"):
            errors += file_errors(root, table, path)
        elif path.is_dir() and path.name in ("utils", "util", "common", "misc"):
            errors.append(f"{path.relative_to(root)}: a name that says nothing; name what it does")
    return errors + page_errors(root, table)


SELF_TEST_TABLE = """# a comment
module core: | fmt
module chat: core |
folder chat/jinja: core
door chat/jinja: chat/chat_template.cc
module kernels: core | onednn
door kernels/matmul: kernels/matmul/matmul.h
module model: core kernels |
module data: core model/batch.h |
module cli: core chat data kernels | yaml-cpp
"""
SELF_TEST_PAGE = """| module | holds | may include | libraries |
|---|---|---|---|
| `core` | x | | `fmt` |
| `chat` | x | core | |
| `kernels` | x | core | `onednn` |
| `model` | x | core | |
| `data` | x | core `model/batch.h` | |
| `cli` | x | core chat data kernels | `yaml-cpp` |
"""


def self_test():
    cases = {
        "core/a.h": ("#pragma once\n#include <yaml-cpp/yaml.h>\n", ["yaml-cpp/yaml.h belongs in cli"]),
        "core/b.h": ("", ["no #pragma once"]),
        "core/c.cc": ('#include "model/x.h"\n', ["core may not include model"]),
        "kernels/a.cc": ('#include <dnnl.hpp>\n#include <httplib.h>\n', ["httplib.h belongs in"]),
        "model/a.cc": ('#include "a.h"\n', ["full path"]),
        "data/a.cc": ('#include "model/batch.h"\n#include "model/weights.h"\n', ["only model/batch.h"]),
        "data/a_test.cc": ('#include <gtest/gtest.h>\n#include "model/weights.h"\n', []),
        "data/lost_test.cc": ("", ["beside it"]),
        "model/b.cc": ("\n" * 601, ["601 lines"]),
        "model/c.cc": ("#include <gtest/gtest.h>\n", ["belongs in tests"]),
        "model/d.cc": ("#include <curl/curl.h>\n", ["no module declares"]),
        "model/e.cc": ('#include "kernels/matmul/matmul.h"\n#include "kernels/matmul/amx.h"\n', ["behind a door"]),
        "chat/jinja/value.cc": ('#include "chat/message.h"\n#include "core/a.h"\n', ["chat/jinja may not include chat"]),
        "chat/chat_template.cc": ('#include "chat/jinja/value.h"\n', []),
        "chat/other.cc": ('#include "chat/jinja/value.h"\n', ["behind a door"]),
        "chat/jinja/jinja_value_test.cc": ("", []),
        "cli/a.cc": ('#include "model/weights.h"\n', ["cli may not include model"]),
        "kernels/b.cc": ("if (DryScope::active()) return;\n", ["asks its trace line"]),
        "kernels/trace.h": ("#pragma once\nbool dry() { return DryScope::active(); }\n", []),
        "attic/a.cc": ("", ["in no module"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "src").mkdir()
        (root / "src" / "modules.txt").write_text(SELF_TEST_TABLE)
        (root / "ARCHITECTURE.md").write_text(SELF_TEST_PAGE)
        for name, (text, _) in cases.items():
            path = root / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        errors = check(root)
        for name, (_, expected) in cases.items():
            found = [e for e in errors if e.startswith(f"src/{name}:")]
            assert len(found) == len(expected), (name, found)
            assert all(want in e for want, e in zip(expected, found)), (name, found)
        page = [e for e in errors if e.startswith("ARCHITECTURE.md")]
        assert len(page) == 1 and "model may include 'core'" in page[0], page
    print(f"self-test ok: {len(cases)} cases")


def main():
    if "--self-test" in sys.argv:
        return self_test()
    errors = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    print("\n".join(errors) or "layers ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
