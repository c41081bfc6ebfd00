"""Runs one contestant in a process of its own and learns its exit, its time and its peak resident memory."""

import json
import os
import pathlib
import subprocess
import threading
import time

LAST_LINES = 3  # of a failed program's output, shown as the reason


class Failed(Exception):
    """A contestant that gave no result; the message says why in a line or two."""


class Runner:
    """Starts programs one after another; keeps their output in a folder of logs."""

    def __init__(self, folder, timeout):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.timeout = timeout
        self.count = 0

    def run(self, name, command, threads=None):
        """Returns (standard output, {"process_seconds", "peak_rss_bytes"}); raises Failed."""
        self.count += 1
        stem = self.folder / f"{self.count:03d}-{name}"
        out_path, err_path = stem.with_suffix(".out"), stem.with_suffix(".err")
        begin = time.monotonic()
        with open(out_path, "wb") as out, open(err_path, "wb") as err:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment(threads)
            )
            too_long = threading.Event()
            timer = threading.Timer(self.timeout, lambda: (too_long.set(), child.kill()))
            timer.start()
            try:
                # wait4 and not child.wait(): the kernel's own high-water mark of this child alone.
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            except BaseException:
                child.kill()
                raise
            finally:
                timer.cancel()
        if too_long.is_set():
            raise Failed(f"stopped after {self.timeout:.0f} s; see {err_path}")
        if child.returncode != 0:
            raise Failed(f"exit status {child.returncode}: {tail(err_path)} (see {err_path})")
        facts = {"process_seconds": time.monotonic() - begin, "peak_rss_bytes": usage.ru_maxrss * 1024}
        return out_path.read_text(encoding="utf-8", errors="replace"), facts

    def run_json(self, name, command, threads=None):
        """For programs whose standard output is one JSON object."""
        text, facts = self.run(name, command, threads)
        try:
            return json.loads(text) | facts
        except (ValueError, TypeError) as error:
            raise Failed(f"its output is no JSON object: {error}") from None

    def run_worker(self, python, script, task, threads=None, name=None):
        """Runs peers/SCRIPT in the peers' Python; the task goes in as JSON and the result comes back in a file,
        because libraries print on standard output as they like."""
        folder = pathlib.Path(__file__).parent
        result_path = self.folder / f"{self.count + 1:03d}-result.json"
        command = [str(python), str(folder / script), json.dumps(task), str(result_path)]
        _, facts = self.run(name or pathlib.Path(script).stem, command, threads)
        return json.loads(result_path.read_text(encoding="utf-8")) | facts


def environment(threads):
    """No network, no GPU; the thread count that OpenMP libraries read when they start."""
    values = dict(os.environ, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
    if threads:
        values["OMP_NUM_THREADS"] = str(threads)
    return values


def tail(path):
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:]) or "no output"
