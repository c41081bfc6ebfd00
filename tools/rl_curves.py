#!/usr/bin/env python3
"""Draws the runs of tools/rl_learning.sh: curves and learning rates; copies the raw metrics, prints a table.

    rl_curves.py OUT DOCS     OUT: the runs' folders; DOCS: where pictures and metrics go

Needs gnuplot. Standard library only.
"""

import gzip
import json
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

NAMES = {"rank1": "LoRA rank 1", "rank16": "LoRA rank 16", "full": "full fine-tuning"}
COLOURS = {"rank1": "#d95f02", "rank16": "#7570b3", "full": "#1b9e77"}


def load(out):
    """{(method, rate): {seed: [metrics of a line]}}"""
    runs = defaultdict(dict)
    for folder in sorted(out.iterdir()):
        match = re.fullmatch(r"(rank1|rank16|full)-lr([0-9.e-]+)-seed(\d+)", folder.name)
        if not match or not (folder / "metrics.jsonl").is_file():
            continue
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        runs[match[1], float(match[2])][int(match[3])] = lines
    return runs


def series(lines, key):
    return [(line["step"], line[key]) for line in lines if line.get(key) is not None]


def mean_over_seeds(run, key, at):
    values = [dict(series(lines, key)).get(at) for lines in run.values()]
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def final(run, key):
    last = max((step for lines in run.values() for step, _ in series(lines, key)), default=None)
    return None if last is None else mean_over_seeds(run, key, last)


def smoothed(run, key, width=5):
    """Mean over seeds of the mean of the last `width` steps."""
    sums = defaultdict(list)
    for lines in run.values():
        values = series(lines, key)
        for i, (step, _) in enumerate(values):
            window = [value for _, value in values[max(0, i - width + 1) : i + 1]]
            sums[step].append(sum(window) / len(window))
    return [(step, sum(values) / len(values)) for step, values in sorted(sums.items())]


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def data(name, rows):
    return f"${name} << EOD\n" + "".join(" ".join(f"{x:g}" for x in row) + "\n" for row in rows) + "EOD\n"


def draw(docs, name, body):
    for terminal, ending in (("svg size 900,420 font 'sans,13' background 'white'", "svg"),
                             ("pngcairo size 900,420 font 'sans,11'", "png")):
        gnuplot(f"set terminal {terminal}\nset output '{docs / name}.{ending}'\n"
                "set grid lc rgb '#dddddd'\nset border lc rgb '#555555'\n" + body)


def draw_curves(docs, runs, best):
    script, rewards, heldout = "", [], []
    for method, rate in best.items():
        run = runs[method, rate]
        script += data(f"reward_{method}", smoothed(run, "reward"))
        steps = sorted({step for lines in run.values() for step, _ in series(lines, "eval_accuracy")})
        script += data(f"eval_{method}", [(s, 100 * mean_over_seeds(run, "eval_accuracy", s)) for s in steps])
        style = f"lc rgb '{COLOURS[method]}' lw 2 title '{NAMES[method]}, {rate:g}'"
        rewards.append(f"$reward_{method} with lines {style}")
        heldout.append(f"$eval_{method} with linespoints pt 7 ps 0.7 {style}")
    draw(docs, "curves", script + "set key bottom right\nset xlabel 'step (64 answers each)'\n"
         "set multiplot layout 1,2\nset ylabel 'reward, mean of 5 steps'\nset yrange [0:1.02]\n"
         f"plot {', '.join(rewards)}\n"
         "set ylabel 'held-out problems solved greedily, %'\nset yrange [0:102]\n"
         f"plot {', '.join(heldout)}\nunset multiplot\n")


def draw_rates(docs, runs):
    script, plots = "", []
    for method in NAMES:
        rows = [(rate, 100 * final(run, "eval_accuracy")) for (m, rate), run in sorted(runs.items())
                if m == method and final(run, "eval_accuracy") is not None]
        script += data(f"rate_{method}", rows)
        plots.append(f"$rate_{method} with linespoints pt 7 lw 2 lc rgb '{COLOURS[method]}' title '{NAMES[method]}'")
    draw(docs, "rates", script + "set key bottom left\nset logscale x\nset format x '%.0e'\n"
         "set xlabel 'learning rate'\nset ylabel 'held-out solved at the end, %'\n"
         f"set yrange [0:102]\nset xrange [5e-6:2e-3]\nplot {', '.join(plots)}\n")


def percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def table(runs, best):
    text = ("| | learning rate | greedy: first | last | pass@1: first | last | reward of the last 5 steps |\n"
            "|---|--:|--:|--:|--:|--:|--:|\n")
    for (method, rate), run in sorted(runs.items(), key=lambda item: (list(NAMES).index(item[0][0]), item[0][1])):
        mark = "**" if best.get(method) == rate else ""
        rewards = smoothed(run, "reward")
        text += (f"| {mark}{NAMES[method]}{mark} | {rate:g} "
                 f"| {percent(mean_over_seeds(run, 'eval_accuracy', 0))} | {percent(final(run, 'eval_accuracy'))} "
                 f"| {percent(mean_over_seeds(run, 'eval_pass@1', 0))} | {percent(final(run, 'eval_pass@1'))} "
                 f"| {rewards[-1][1]:.3f} |\n")
    return text


def main():
    out, docs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    runs = load(out)
    if not runs:
        sys.exit(f"{out}: no runs of tools/rl_learning.sh")
    (docs / "runs").mkdir(parents=True, exist_ok=True)
    for (method, rate), seeds in runs.items():
        for seed, lines in seeds.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            path = docs / "runs" / f"{method}-lr{rate:g}-seed{seed}.jsonl.gz"
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
    best = {}
    for method in NAMES:
        scores = {rate: final(run, "eval_accuracy") for (m, rate), run in runs.items() if m == method}
        scores = {rate: score for rate, score in scores.items() if score is not None}
        if scores:
            best[method] = max(scores, key=lambda rate: (scores[rate], final(runs[method, rate], "eval_pass@1")))
    draw_curves(docs, runs, best)
    draw_rates(docs, runs)
    worst = max(value for seeds in runs.values() for lines in seeds.values()
                for _, value in series(lines, "sampling/logp_difference_max"))
    steps = sum(len(series(lines, "reward")) for seeds in runs.values() for lines in seeds.values())
    print(table(runs, best))
    print(f"largest sampling/logp_difference_max of {steps} steps: {worst:g}")


if __name__ == "__main__":
    main()
