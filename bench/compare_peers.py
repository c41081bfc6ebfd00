#!/usr/bin/env python3
"""Compares Lorikeet with transformers + peft, trl and generate on one machine, one model and the same tokens.

Every program runs in a process of its own, alternating with the others, for several rounds; medians and ratios are
printed, and all results written as JSON with date, versions, CPU and thread settings. The peers are installed into a
virtual environment of their own (--venv) unless it exists. bench/README.md describes the measurements.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

from peers import machine, report
from peers.chats import join_rows
from peers.lorikeet import Lorikeet
from peers.process import Failed, Runner
from peers.race_decode import decode_race
from peers.race_train import train_race
from peers.race_trl import trl_race

ROOT = pathlib.Path(__file__).resolve().parent.parent
RACES = ("train", "trl", "decode")
MAX_SECONDS = 900  # per process


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=ROOT / "out/quickstart/model", help="a Hugging Face folder [%(default)s]")
    parser.add_argument("--data", default=ROOT / "out/quickstart/data/train.jsonl",
                        help="chats, JSONL with messages [%(default)s]")
    parser.add_argument("--mixed-turns", action="store_true",
                        help="join the chats into conversations of 1 to 8 turns, for lengths that differ more")
    parser.add_argument("--lorikeet", default=ROOT / "build/release/lorikeet", help="the program [%(default)s]")
    parser.add_argument("--venv", default=os.environ.get("LORIKEET_PEERS_VENV", ROOT / "out/peers/venv"),
                        help="the peers' virtual environment, or LORIKEET_PEERS_VENV [%(default)s]")
    parser.add_argument("--out", default=ROOT / "out/peers", help="folder of results.json and logs/ [%(default)s]")
    parser.add_argument("--only", default=",".join(RACES), help="races to run [%(default)s]")
    parser.add_argument("--quick", action="store_true", help="one short round, not for publication")
    parser.add_argument("--rounds", type=int, help="rounds of each race [3; quick 1]")
    parser.add_argument("--steps", type=int, help="measured steps of a run, after one for warming up [2; quick 1]")
    parser.add_argument("--new-tokens", type=int, help="tokens written per sequence in decoding [32; quick 16]")
    parser.add_argument("--threads", type=int, default=machine.usable_cpus(),
                        help="Lorikeet's threads, and the maximum that peers try [%(default)s]")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a LoRA step [%(default)s]")
    parser.add_argument("--length", type=int, default=512, help="length of its sequences [%(default)s]")
    parser.add_argument("--lora-r", type=int, default=16, help="rank [%(default)s]")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(RACES)
    if unknown:
        parser.error(f"--only takes {', '.join(RACES)}, not {', '.join(sorted(unknown))}")
    if options.tokens % options.length:
        parser.error("--tokens must be a multiple of --length")
    if (options.rounds or 1) < 1 or (options.steps or 1) < 1 or (options.new_tokens or 2) < 2:
        parser.error("--rounds and --steps must be at least 1, --new-tokens at least 2")
    for path, remedy in (
        (options.model, "run ./quickstart.sh, or give --model"),
        (options.data, "run ./quickstart.sh or tools/wordnet_data.sh, or give --data"),
        (options.lorikeet, "build the release preset, or give --lorikeet"),
    ):
        if not pathlib.Path(path).exists():
            parser.error(f"{path} is not there: {remedy}")
    return options


def make_context(options):
    """The common settings of the races."""
    folder = pathlib.Path(options.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        python = machine.peer_python(options.venv)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the peers could not be installed into {options.venv}: {error}")
    runner = Runner(folder / "logs", MAX_SECONDS)
    model = str(pathlib.Path(options.model).resolve())
    data = pathlib.Path(options.data).resolve()
    if options.mixed_turns:
        join_rows(data, folder / "chats.jsonl")
        data = folder / "chats.jsonl"
    quick = options.quick
    return types.SimpleNamespace(
        folder=folder,
        python=python,
        model=model,
        data=str(data),
        lorikeet=Lorikeet(pathlib.Path(options.lorikeet).resolve(), model, runner, options.threads),
        worker=lambda script, task, threads=None, name=None: runner.run_worker(python, script, task, threads, name),
        cpus=options.threads,
        peer_threads=None,
        quick=quick,
        rounds=options.rounds or (1 if quick else 3),
        steps=options.steps or (1 if quick else 2),
        trl_steps=options.steps or (1 if quick else 3),
        tokens=options.tokens,
        length=options.length,
        rank=options.lora_r,
        prompt_tokens=128,
        new_tokens=options.new_tokens or (16 if quick else 32),
    )


def run_races(context, wanted):
    """A race that fails does not stop the others."""
    plan = {
        "train": [lambda: train_race(context)],
        "trl": [lambda: trl_race(context)],
        "decode": [lambda: decode_race(context, 1), lambda: decode_race(context, 32)],
    }
    done, failures = [], {}
    for name in wanted:
        print(f"{name}", flush=True)
        for race in plan[name]:
            try:
                done.append(race())
            except Failed as error:
                failures[name] = str(error)
                print(f"  failed: {error}", flush=True)
    return done, failures


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that a running contestant ends too
    begin = time.monotonic()
    context = make_context(options)
    facts = machine.describe()
    facts |= {"lorikeet": context.lorikeet.version(), "lorikeet_threads": options.threads,
              "versions": machine.installed_versions(context.python), "model": context.model,
              "quick": options.quick, "rounds": context.rounds}
    for note in machine.version_notes(facts["versions"]):
        print(f"note: {note}")
    done, failures = run_races(context, options.only)
    facts |= {"load_average_after": os.getloadavg(), "seconds": time.monotonic() - begin}
    print(f"\n{facts['date']}  {facts['cpu']}, {facts['cpus']} CPUs, {' '.join(facts['cpu_features'])}")
    print("  ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    for race in done:
        print(report.race_text(race))
    results = facts | {"failures": failures, "races": [report.race_json(race) for race in done]}
    path = context.folder / "results.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\n{facts['seconds'] / 60:.1f} minutes; all results in {path}")
    sys.exit(1 if failures or any(race.is_void() for race in done) else 0)


if __name__ == "__main__":
    main()
