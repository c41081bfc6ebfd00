#!/usr/bin/env python3
"""Cleans unpacked documentation packages into JSONL of plain English text; tools/corpus.sh calls it.

    tools/corpus_text.py UNPACKED_DIR OUT_DIR

UNPACKED_DIR/PACKAGE is what `dpkg-deb -x` makes of a package. OUT_DIR gets train.jsonl and heldout.jsonl, a document a
row: {"text": ..., "source": PACKAGE}. The split of documents and their order depend on a hash of
package and path: the same packages give the same bytes. Standard library only.
"""

import argparse
import collections
import gzip
import hashlib
import html.parser
import json
import pathlib
import re
import subprocess
import sys
import unicodedata

HELD_OUT = 50  # one document in 50 is held out
SHORTEST = 200  # characters; shorter pages are tables of links or empty
AS_CHAT = 10  # one page in 10 is formatted as a conversation, so that the chat template's tokens are trained
LONGEST = 60000  # longer pages are cut at a paragraph, so that no single one fills many blocks

# Package -> (kind, globs of files below it). Kinds: html, text (a page each), texts (compressed), bible.
SOURCES = {
    "anarchism": ("html", ["usr/share/doc/anarchism/html/*.html"]),
    "bible-kjv-text": ("bible", []),
    "debian-faq": ("html", ["usr/share/doc/debian/FAQ/*.html"]),
    "debian-handbook": ("html", ["usr/share/doc/debian-handbook/html/en-US/*.html"]),
    "debian-policy": ("html", ["usr/share/doc/debian-policy/policy.html/*.html"]),
    "debian-reference-en": ("html", ["usr/share/debian-reference/*.en.html"]),
    "developers-reference": ("html", ["usr/share/developers-reference/*.html"]),
    "git-doc": ("html", ["usr/share/doc/git-doc/**/*.html"]),
    "gnome-user-docs": ("html", ["usr/share/help/C/**/*.page"]),
    "libreoffice-help-en-us": ("html", ["usr/share/libreoffice/help/en-US/text/**/*.html"]),
    "postgresql-doc-15": ("html", ["usr/share/doc/postgresql-doc-15/html/*.html"]),
    "python3.11-doc": ("html", ["usr/share/doc/python3.11/html/**/*.html"]),
    "rust-doc": ("html", [f"usr/share/doc/rust-doc/html/{book}/**/*.html" for book in (
        "book", "cargo", "edition-guide", "embedded-book", "nomicon", "reference", "rust-by-example", "rustc",
        "rustdoc", "unstable-book")]),
    "sqlite3-doc": ("html", ["usr/share/doc/sqlite3/**/*.html"]),
}
# Pages that repeat all the others, or have no text.
LEFT_OUT = re.compile(r"(^|/)(genindex|search|py-modindex|bookindex|index|contents|toc|print|copyright|releaselog|"
                      r"changes|doclist|keyword_index|anarchism|alltogether)[^/]*$|/(whatsnew/changelog|first-edition|"
                      r"second-edition|2018-edition)")

BLOCKS = {"p", "div", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "pre",
          "blockquote", "section", "article", "title", "br", "hr", "item", "steps", "terms", "note", "list", "media",
          "info", "page", "td", "th"}
DROPPED = {"script", "style", "head", "nav", "header", "footer", "aside", "noscript", "form", "svg", "button", "info",
           "select", "desc", "credit", "table"}
DROPPED_CLASSES = {"related", "sphinxsidebar", "navheader", "navfooter", "footer", "nosearch", "docnav", "toc",
                   "headerlink", "sphinxsidebarwrapper", "relatedtopics", "sidebar", "nav-chapters", "imgcenter",
                   "mobile-nav-chapters", "nav-wrapper", "contents", "toctree-wrapper", "licenseinfo", "fancy_toc"}
VOID = {"br", "hr", "img", "meta", "link", "input", "area", "base", "col", "embed", "source", "track", "wbr"}


class PageText(html.parser.HTMLParser):
    """The text of a page, one line per paragraph; code keeps its lines."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.open, self.dropping, self.pre = [], [], 0, 0

    def handle_starttag(self, tag, attrs):
        classes = set((dict(attrs).get("class") or "").split()) | {dict(attrs).get("id") or ""}
        dropped = tag in DROPPED or bool(classes & DROPPED_CLASSES)
        if tag in BLOCKS:
            self.parts.append("\n")
        if tag in VOID:
            return
        if tag in ("p", "li", "dt", "dd", "tr", "td"):  # closed by the next one if not closed explicitly
            if self.open and self.open[-1][0] == tag:
                self.handle_endtag(tag)
        self.open.append((tag, dropped))
        self.dropping += dropped
        self.pre += tag == "pre"

    def handle_endtag(self, tag):
        if not any(name == tag for name, _ in self.open):
            return
        while self.open:
            name, dropped = self.open.pop()
            self.dropping -= dropped
            self.pre -= name == "pre"
            if name == tag:
                break
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.dropping:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))

    def text(self):
        return "".join(self.parts)


PLAIN = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "--", "\u2212": "-",
    "\u2026": "...", "\u00a0": " ", "\u2022": "-", "\u00b6": "", "\u200b": "", "\ufeff": "", "\u2011": "-",
    "\u2190": "<-", "\u2192": "->", "\u2264": "<=", "\u2265": ">=", "\u00ad": "", "\u2010": "-", "\u00d7": "x"})


def clean(text):
    text = unicodedata.normalize("NFKC", text.translate(PLAIN)).translate(PLAIN)
    text = "".join(c for c in text if c == "\n" or c == "\t" or unicodedata.category(c)[0] not in "C")
    lines = [re.sub(r"[ \t]+$", "", line) for line in text.split("\n")]
    lines = [line if line.startswith("  ") else re.sub(r"  +", " ", line).strip() for line in lines]
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip("\n")


def is_english(text):
    letters = sum(c.isalpha() for c in text)
    plain = sum(c.isascii() and c.isalpha() for c in text)
    words = re.findall(r"[a-z]+", text.lower())
    common = sum(word in {"the", "of", "to", "and", "a", "in", "is", "that", "it", "for", "be"} for word in words)
    return letters > 0.5 * len(text) and plain > 0.98 * letters and common > 0.1 * len(words)


def read(path):
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    return raw.decode("utf-8", errors="replace")


def pages(root, package, kind, globs):
    """(name, text) of each page, links to a file seen before left out."""
    seen = set()
    for pattern in globs:
        for path in sorted((root / package).glob(pattern)):
            name = str(path.relative_to(root / package))
            if name in seen or path.is_symlink() or not path.is_file() or LEFT_OUT.search(name.rsplit(".", 1)[0]):
                continue
            seen.add(name)
            page = PageText()
            page.feed(read(path))
            page.close()
            yield name, page.text()


def bible(root):
    """One document per chapter. The text is compressed; the reader of another package unpacks it."""
    reader, data = root / "bible-kjv/usr/bin/bible", root / "bible-kjv-text/usr/lib"
    out = subprocess.run([reader.resolve(), "-p", data.resolve(), "-l10000", "Ge1:1-Re22:21"], capture_output=True,
                         text=True, check=True, stdin=subprocess.DEVNULL).stdout
    chapters = collections.OrderedDict()
    for line in out.splitlines():
        if re.fullmatch(r"\S.* \d+", line):
            chapter = chapters.setdefault(line, [line])
        elif line.strip():
            chapter.append(line.strip())
    for name, verses in chapters.items():
        yield name, "\n".join(verses)


def without_boilerplate(documents):
    """Removes lines that occur in many of a package's pages: navigation, not text."""
    pages_with = collections.Counter(line for _, text in documents for line in set(text.split("\n")))
    most = max(8, len(documents) // 50)
    for name, text in documents:
        kept = [line for line in text.split("\n") if pages_with[line] <= most or len(line) < 4]
        yield name, "\n".join(kept)


def cut(text):
    """Pieces of whole lines, of at most about LONGEST characters."""
    piece, size = [], 0
    for line in text.split("\n"):
        if size + len(line) > LONGEST and piece:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line) + 1
    yield "\n".join(piece)


def as_chat(text):
    """A page as a conversation: a line is the user's turn, the following text, some 600 characters, the assistant's."""
    turns, question, answer, size = [], None, [], 0
    for line in text.split("\n"):
        if question is None:
            question = line
            continue
        answer.append(line)
        size += len(line)
        if size > 600:
            turns.append((question, "\n".join(answer)))
            question, answer, size = None, [], 0
    if answer:
        turns.append((question, "\n".join(answer)))
    turn = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
    return "".join(turn.format(*each) for each in turns)


def documents_of(root, package, kind, globs):
    found = bible(root) if kind == "bible" else pages(root, package, kind, globs)
    found = [(name, clean(text)) for name, text in found]
    if kind != "bible":
        found = list(without_boilerplate(found))
    for name, text in found:
        if is_english(text):
            for number, piece in enumerate(cut(text)):
                if len(piece) >= SHORTEST:
                    yield f"{package}/{name}#{number}", piece


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    sides = {"train": [], "heldout": []}
    texts = set()
    for package, (kind, globs) in SOURCES.items():
        count = size = 0
        for name, text in documents_of(arguments.unpacked, package, kind, globs):
            if text in texts:
                continue
            texts.add(text)
            # By page, not by piece: the pieces of one page are on the same side of the split.
            page = int(hashlib.sha256(name.rsplit("#", 1)[0].encode()).hexdigest(), 16)
            if page // HELD_OUT % AS_CHAT == 0:
                text = as_chat(text)
            if not text:
                continue
            place = hashlib.sha256(name.encode()).hexdigest()
            row = json.dumps({"text": text, "source": package}, ensure_ascii=False)
            sides["heldout" if page % HELD_OUT == 0 else "train"].append((place, row))
            count, size = count + 1, size + len(text.encode())
        if count == 0:
            sys.exit(f"corpus_text.py: {arguments.unpacked / package} has none of the expected pages")
        print(f"{package:24} {count:6} documents {size / 1e6:7.2f} MB", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for side, rows in sides.items():
        path = arguments.out / f"{side}.jsonl"
        path.write_text("".join(row + "\n" for _, row in sorted(rows)), encoding="utf-8")
        print(f"{path}: {len(rows)} documents, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
