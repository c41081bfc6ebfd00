#!/usr/bin/env python3
"""Fails if a header does not begin with a comment whose first sentence names the thing, or if a word of tools/words.txt
occurs in code, comments, messages or documentation.

Usage: tools/check_words.py [--count] [PATH...]   files or folders; default: src bench tests docs examples README.md ...
       tools/check_words.py --self-test

--count prints the number of findings by module instead of the findings.
"""
import collections
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFAULT = ["src", "bench", "tests", "docs", "examples", "tools", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
SUFFIXES = {".h", ".cc", ".md", ".yaml", ".sh", ".py"}
# Files that earlier versions and reference programs wrote, for tests: data, not prose.
RECORDED = ROOT / "tests" / "golden"
# Tables that tools/study_record.py writes into a page, between two marks; their words are those of recorded results.
TABLE_BEGIN = re.compile(r"<!-- (\w+): written by tools/study_record\.py -->")
QUESTION = re.compile(r"(What|Which|Who|Whom|Whose|How|Where|When|Why|Whether|Whatever|Whoever)\b")


def read_words(path):
    """[(compiled expression, advice)]; a line that cannot be used raises ValueError."""
    words = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        expression, separator, advice = line.rpartition(" # ")
        if not separator or not expression.strip() or not advice.strip():
            raise ValueError(f"{path}:{number}: expected 'EXPRESSION # PLAIN WORDS'")
        try:
            words.append((re.compile(expression.strip()), advice.strip()))
        except re.error as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return words


def texts_of_code(lines):
    """Yields (line number, text): comment blocks, joined and beginning with '//', and code lines without comments."""
    block, begin = [], 0
    for number, line in enumerate(lines, 1):
        comment = re.match(r"\s*//+ ?(.*)", line)
        if comment and block:
            block.append(comment[1])
            continue
        if block:
            yield begin, "// " + " ".join(block)
            block = []
        if comment:
            block, begin = [comment[1]], number
            continue
        code, separator, trailing = split_trailing_comment(line)
        yield number, code
        if separator:
            yield number, "// " + trailing.strip()
    if block:
        yield begin, "// " + " ".join(block)


def split_trailing_comment(line):
    """(code, '//', comment), or (line, '', '') when every // is within a string."""
    quoted, i = "", 0
    while i < len(line):
        if quoted and line[i] == "\\":
            i += 1
        elif quoted and line[i] == quoted:
            quoted = ""
        elif not quoted and line[i] == '"':
            quoted = line[i]
        elif not quoted and line.startswith("//", i):
            return line[:i], "//", line[i + 2:]
        i += 1
    return line, "", ""


def texts_of_page(lines):
    """Yields (line number, text) of paragraphs, so that phrases are found across line breaks; skips recorded tables."""
    paragraph, begin, table = [], 0, None
    for number, line in enumerate([*lines, ""], 1):
        table = TABLE_BEGIN.fullmatch(line) or table
        if table and line == f"<!-- end of {table[1]} -->":
            table = None
        if line.strip() and not table:
            begin = begin if paragraph else number
            paragraph.append(line.strip())
        elif paragraph:
            yield begin, " ".join(paragraph)
            paragraph = []


def header_fault(lines):
    """Why the first sentence of a header is not one that names the thing; None if it does."""
    if not lines or not lines[0].startswith("//"):
        return "does not begin with a comment that names what it declares"
    text = " ".join(re.match(r"//+ ?(.*)", line)[1] for line in iter_while_comment(lines))
    if not re.search(r"[\w)`'\"][.:]( |$)", text):
        return "has no first sentence"
    match = QUESTION.match(text)
    return f"opens with '{match[1]} ...' instead of naming the thing" if match else None


def iter_while_comment(lines):
    for line in lines:
        if not line.startswith("//"):
            return
        yield line


def check_file(path, name, words):
    lines = path.read_text(encoding="utf-8").splitlines()
    findings = []
    if path.suffix == ".h":
        fault = header_fault(lines)
        if fault:
            findings.append(f"{name}:1: header {fault}")
    texts = texts_of_code(lines) if path.suffix in (".h", ".cc") else texts_of_page(lines)
    for number, text in texts:
        for expression, advice in words:
            for match in expression.finditer(text):
                findings.append(f"{name}:{number}: '{match[0]}': write: {advice}")
    return findings


def files_of(paths):
    for path in paths:
        if path.is_file():
            yield path
        for file in sorted(path.rglob("*")) if path.is_dir() else []:
            recorded = RECORDED in file.resolve().parents
            if file.is_file() and file.suffix in SUFFIXES and file.name != pathlib.Path(__file__).name and not recorded:
                yield file


def module_of(name):
    parts = pathlib.PurePath(name).parts
    return "/".join(parts[:2]) if parts[0] == "src" and len(parts) > 2 else parts[0]


def check(root, paths, words):
    findings = []
    for file in files_of(paths):
        name = file.resolve().relative_to(root) if file.resolve().is_relative_to(root) else file
        findings += check_file(file, str(name), words)
    return findings


def self_test():
    words = read_words(ROOT / "tools" / "words.txt")
    table = "<!-- a: written by tools/study_record.py -->\n"
    cases = [  # name, content, part of the finding or None
        ("good.h", "// A `Good` holds numbers.\n#pragma once\nint x = 0;  // number of tokens\n", None),
        ("none.h", "#pragma once\n", "does not begin with a comment"),
        ("fragment.h", "// numbers and such\n#pragma once\n", "no first sentence"),
        ("question.h", "// What a pass needs.\n#pragma once\n", "opens with 'What ...'"),
        ("whose.h", "// Whose weights count.\n#pragma once\n", "opens with 'Whose ...'"),
        ("elliptic.cc", "int x = 0;  // of the batch\n", "'// of the'"),
        ("continued.cc", "// Number\n// of the batch.\nint x = 0;\n", None),
        ("broken.cc", "// The run is gone\n// on with.\n", "'gone on with'"),
        ("message.cc", 'Fail("the person must say // so");\n', "'the person'"),
        ("string.cc", 'const char* url = "https://of the web";\n', None),
        ("identifier.cc", "constexpr int kMostRows = 3;\n", "'kMostRows'"),
        ("page.md", "It is started\nanew.\n", "'anew'"),
        ("page.txt", "anew\n", None),
        ("table.md", table + "anew\n<!-- end of b -->\nanew\n<!-- end of a -->\n", None),
        ("after.md", table + "anew\n<!-- end of a -->\nis used up\n", "'used up'"),
        ("other.md", "<!-- a: written by hand -->\nanew\n<!-- end of a -->\n", "'anew'"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, content, expected in cases:
            path = pathlib.Path(folder, "src", name)
            path.parent.mkdir(exist_ok=True)
            for old in path.parent.iterdir():
                old.unlink()
            path.write_text(content, encoding="utf-8")
            findings = check(pathlib.Path(folder).resolve(), [pathlib.Path(folder)], words)
            assert (not findings) if expected is None else (len(findings) == 1 and expected in findings[0]), \
                f"{name}: {findings}"
        broken = pathlib.Path(folder, "words.txt")
        for content in ("word\n", "( # advice\n"):
            broken.write_text(content, encoding="utf-8")
            try:
                read_words(broken)
            except ValueError:
                continue
            raise AssertionError(f"accepted {content!r}")
    print("self-test ok")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    count = "--count" in arguments
    names = [a for a in arguments if a != "--count"] or [p for p in DEFAULT if (ROOT / p).exists()]
    paths = [pathlib.Path(n) if pathlib.Path(n).exists() else ROOT / n for n in names]
    missing = [str(p) for p in paths if not p.exists()]
    if missing:
        sys.exit(f"check_words: no such file or folder: {', '.join(missing)}")
    findings = check(ROOT, paths, read_words(ROOT / "tools" / "words.txt"))
    if count:
        for module, number in sorted(collections.Counter(module_of(f.split(":")[0]) for f in findings).items()):
            print(f"{number:6} {module}")
    else:
        print("\n".join(findings) if findings else "words ok")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
