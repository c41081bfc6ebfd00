#!/usr/bin/env python3
"""Fills the last column of the table of families in docs/models.md: the largest difference of a logit from transformers.

The numbers are those that the f32 cases of GoldenTest record, the largest of a model_type's goldens:

    build/test/model_test --gtest_filter='*GoldenTest*' --gtest_output=xml:/tmp/golden.xml
    python3 tools/golden_table.py /tmp/golden.xml
"""

import argparse
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "golden" / "model"
PAGE = ROOT / "docs" / "models.md"
CASE = re.compile(r"[^/]*/(\w+?)_(f32)(_recompute)?$")


def differences(xml):
    """{model_type: largest difference}, that of a wrapper under its own name."""
    largest = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        match = CASE.match(case.get("name", ""))
        properties = {p.get("name"): p.get("value") for p in case.iter("property")} | case.attrib
        values = [float(v) for name, v in properties.items() if name.endswith("logits_difference")]
        if match is None or not values:
            continue
        kind = json.loads((GOLDENS / match[1] / "config.json").read_text())["model_type"]
        largest[kind] = max(largest.get(kind, 0.0), *values)
    return largest


def filled(page, largest):
    """The page with the last cell of each row that names a model_type with a number."""
    lines, in_table, used = [], False, set()
    for line in page.split("\n"):
        in_table = line.startswith("|") and (in_table or "logits differ by" in line)
        cells = line.split("|")
        kinds = re.findall(r"`(\w+)`", cells[1]) if in_table else []
        known = [kind for kind in kinds if kind in largest]
        if known:
            cells[-2] = f" {max(largest[kind] for kind in known):.0e} "
            used |= set(known)
        lines.append("|".join(cells))
    return "\n".join(lines), used


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("xml", type=Path, help="what --gtest_output=xml:FILE wrote")
    largest = differences(parser.parse_args().xml)
    page, used = filled(PAGE.read_text(), largest)
    PAGE.write_text(page)
    for kind in sorted(set(largest) - used):
        print(f"{kind}: {largest[kind]:.0e}, but the table has no row for it")


if __name__ == "__main__":
    main()
