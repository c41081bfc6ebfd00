#!/usr/bin/env python3
"""Keeps the results of a replication in docs/study/: raw runs, reports, and the table of claims.

    study_record.py pack STUDY...             the finished runs of study folders into docs/study/runs/NAME.tar.gz
    study_record.py compared DIR              losses of runs of `sft` as advised and with defaults (DIR/KIND_DATA-SEED)
    study_record.py write [--lorikeet BIN]    from docs/study/runs/ and compared.json alone: NAME.html, figures/NAME/,
                                              claims.json and the tables in README.md

The same runs give the same claims. Standard library only; figures need gnuplot.
"""

import argparse
import gzip
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "study"
# Keys that follow from other keys of the same line, or from the settings.
DERIVED = {"epoch", "learning_rate", "tokens_per_second", "matmul_utilization", "eval_perplexity",
           "eval_bits_per_token", "eval_num_tokens"}
TIMES = {"step_seconds", "eval_runtime"}
# Marks around the parts of README.md that this program writes.
BEGIN, END = "<!-- {}: written by tools/study_record.py -->", "<!-- end of {} -->"


def slim(text):
    """Every line of a metrics.jsonl, without derived keys; times to a tenth of a millisecond."""
    lines = []
    for line in text.splitlines():
        row = {key: value for key, value in json.loads(line).items() if key not in DERIVED}
        for key in TIMES & row.keys():
            row[key] = round(row[key], 4)
        lines.append(json.dumps(row, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def files_of(study):
    """(name in the archive, bytes) of a study folder: settings and finished runs, nothing else."""
    found = []
    for listing in sorted(study.glob("*/runs.txt")):
        for path in (listing, listing.with_name("config.yaml")):
            found.append((f"{path.parent.name}/{path.name}", path.read_bytes()))
        for run in listing.read_text().split():
            for name in ("run.json", "result.json", "metrics.jsonl"):
                text = (study / "runs" / run / name).read_text()
                found.append((f"runs/{run}/{name}", (slim(text) if name == "metrics.jsonl" else text).encode()))
    return sorted(dict(found).items())


def pack(study):
    files = files_of(study)
    if not files:
        sys.exit(f"study_record.py: {study}: no finished study")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files:
            info = tarfile.TarInfo(f"{study.name}/{name}")
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    target = DOCS / "runs" / f"{study.name}.tar.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(raw.getvalue(), compresslevel=9, mtime=0))
    print(f"{target}: {sum(name.endswith('result.json') for name, _ in files)} runs, {target.stat().st_size} bytes")


def compared(folder):
    runs = {}
    for path in sorted(folder.glob("*/train_summary.json")):
        summary = json.loads(path.read_text())
        settings = dict(re.findall(r"^(lora_r|target_modules|learning_rate|batch_size|max_steps): (.*)$",
                                   (path.parent / "config.yaml").read_text(), re.MULTILINE))
        runs[path.parent.name] = {"settings": settings, "before": summary["heldout_nll_before"],
                                  "after": summary["heldout_nll_after"]}
    (DOCS / "compared.json").write_text(json.dumps(runs, indent=1) + "\n")
    print(f"{DOCS / 'compared.json'}: {len(runs)} runs")


def table_of_compared(runs):
    lines = ["", "| data | run | rank | modules | rate | batch | steps | held-out loss: before | after, by seed | mean |",
             "|---|---|--:|---|--:|--:|--:|--:|---|--:|"]
    names = dict.fromkeys(run.rsplit("-", 1)[0] for run in runs)
    for name in sorted(names, key=lambda name: name.split("_")[::-1]):
        of_seeds = [run for key, run in runs.items() if key.rsplit("-", 1)[0] == name]
        settings = of_seeds[0]["settings"]
        after = [run["after"] for run in of_seeds]
        kind, data = name.split("_", 1)
        lines.append(f"| {data} | {kind} | {settings['lora_r']} | {settings['target_modules'].strip('[]')} | "
                     f"{float(settings['learning_rate']):.3g} | {settings['batch_size']} | {settings['max_steps']} | "
                     f"{of_seeds[0]['before']:.4f} | {', '.join(f'{loss:.4f}' for loss in after)} | "
                     f"{sum(after) / len(after):.4f} |")
    return "\n".join(lines) + "\n\n"


def number(value):
    return "unknown" if value is None else f"{value:.3g}"


def table_of(claims):
    lines = []
    for study in dict.fromkeys(claim["study"] for claim in claims):
        of_study = [claim for claim in claims if claim["study"] == study]
        for experiment in dict.fromkeys(claim["experiment"] for claim in of_study):
            lines += ["", f"### {experiment}, [{study}]({study}.html#{experiment})", "",
                      "| claim | the article | here (95 % interval) | agrees | runs |", "|---|---|--:|---|--:|"]
            for claim in of_study:
                if claim["experiment"] != experiment:
                    continue
                here = number(claim["here"])
                if claim["low"] is not None and claim["high"] is not None:
                    here += f" ({number(claim['low'])} to {number(claim['high'])})"
                agrees = claim["agrees"] if claim["agrees"] != "no" else "**no**"
                lines.append(f"| {claim['claim']} | {claim['article']} | {here} | {agrees} | {claim['runs']} |")
    return "\n".join(lines) + "\n\n"


def write(lorikeet):
    lorikeet = str(pathlib.Path(lorikeet).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        archives = sorted((DOCS / "runs").glob("*.tar.gz"))
        for archive in archives:
            with tarfile.open(archive) as tar:
                tar.extractall(folder)
        studies = [archive.name.removesuffix(".tar.gz") for archive in archives]
        subprocess.run([lorikeet, "study", "report", *studies], cwd=folder, check=True)
        claims = subprocess.run([lorikeet, "study", "claims", *studies], cwd=folder, check=True, capture_output=True,
                                text=True).stdout
        for study in studies:
            shutil.copyfile(folder / study / "report.html", DOCS / f"{study}.html")
            figures = DOCS / "figures" / study
            shutil.rmtree(figures, ignore_errors=True)
            figures.mkdir(parents=True)
            for picture in sorted((folder / study).glob("*/*.png")):
                shutil.copyfile(picture, figures / picture.name)
    (DOCS / "claims.json").write_text(claims)
    readme = DOCS / "README.md"
    text = put(readme.read_text(), "claims", table_of(json.loads(claims)))
    if (DOCS / "compared.json").is_file():
        text = put(text, "compared", table_of_compared(json.loads((DOCS / "compared.json").read_text())))
    readme.write_text(text)


def put(text, part, table):
    begin, end = BEGIN.format(part), END.format(part)
    if begin not in text or end not in text:
        sys.exit(f"study_record.py: README.md does not have the marks {begin} ... {end}")
    return text[:text.index(begin) + len(begin)] + "\n" + table + text[text.index(end):]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pack").add_argument("study", nargs="+", type=pathlib.Path)
    commands.add_parser("compared").add_argument("folder", type=pathlib.Path)
    commands.add_parser("write").add_argument("--lorikeet", default="build/release/lorikeet")
    arguments = parser.parse_args()
    if arguments.command == "pack":
        for study in arguments.study:
            pack(study)
    elif arguments.command == "compared":
        compared(arguments.folder)
    else:
        write(arguments.lorikeet)


if __name__ == "__main__":
    main()
