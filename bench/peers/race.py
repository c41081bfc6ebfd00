"""A race: contestants that do the same work in turn, round after round, and what comes of it."""

import statistics

from peers.process import Failed

MIB = 1 << 20
LEARNING_RATE = 1e-5  # small: every contestant does the same, and speed does not depend on it
BF16_TOLERANCE = 0.02  # nats per token between runs of which one at least computes in bf16


class Entry:
    """One contestant in one setting: `run()` does the work once and returns a result with "rate" (of the race's unit)
    and "peak_rss_bytes"."""

    def __init__(self, name, run):
        self.name, self.run = name, run
        self.results, self.failure, self.tried = [], None, None

    def attempt(self):
        """None after a failure, which is kept and not repeated."""
        if self.failure:
            return None
        try:
            result = self.run()
        except (Failed, OSError, KeyError, ValueError, IndexError) as error:
            self.failure = f"{type(error).__name__}: {error}" if not isinstance(error, Failed) else str(error)
            print(f"  {self.name:<46} failed: {self.failure}", flush=True)
            return None
        print(f"  {self.name:<46} {result['rate']:9.1f} /s  {result['peak_rss_bytes'] / MIB:7.0f} MiB", flush=True)
        return result

    def tried_rate(self):
        return self.tried["rate"] if self.tried else 0.0

    def median(self, key):
        values = [result[key] for result in self.results]
        return statistics.median(values) if values else None


def fastest(entries):
    """The best by one try of each, None if all failed; tries are no part of the rounds."""
    entries = list(entries)
    for entry in entries:
        entry.tried = entry.attempt()
    return max((entry for entry in entries if entry.tried), key=Entry.tried_rate, default=None)


def best_of(entries):
    """By the medians of the rounds."""
    return max((entry for entry in entries if entry.results), key=lambda entry: entry.median("rate"), default=None)


def step_rate(steps, key):
    """Tokens of all steps over their time: steps differ in length."""
    return sum(step[key] for step in steps) / sum(step["seconds"] for step in steps)


def run_rounds(entries, rounds):
    """Interleaved, and every other round backwards, so that a machine that slows down slows all."""
    for number in range(rounds):
        print(f"  round {number + 1} of {rounds}", flush=True)
        for entry in entries if number % 2 == 0 else reversed(entries):
            entry.results.append(entry.attempt())
    for entry in entries:
        if entry.failure:
            entry.results = []


class Race:
    """What is reported: rows, ratios of our entry over its peers, checks that the work is the same."""

    def __init__(self, key, title, unit):
        self.key, self.title, self.unit = key, title, unit
        self.settings, self.entries, self.pairs, self.checks, self.notes = {}, [], [], [], []

    def compare(self, ours, theirs, bar=None, memory_bar=None):
        """Asks for ours / theirs of the rate, round by round; of the memory too where memory_bar is given."""
        if ours and theirs:
            self.pairs.append((ours, theirs, bar, memory_bar))

    def check(self, what, value, expected, tolerance):
        good = abs(value - expected) <= tolerance  # false for NaN
        self.checks.append({"what": what, "value": value, "expected": expected, "tolerance": tolerance, "good": good})

    def is_void(self):
        """Where Lorikeet failed or the work was not the same. A peer that fails is reported only."""
        failed = any(entry.failure and entry.name.startswith("lorikeet") for entry in self.entries)
        return failed or not all(check["good"] for check in self.checks)

    def ratios(self):
        for ours, theirs, bar, memory_bar in self.pairs:
            if not ours.results or not theirs.results:
                continue
            yield ratio(ours, theirs, "rate", bar, least=True)
            if memory_bar:
                yield ratio(ours, theirs, "peak_rss_bytes", memory_bar, least=False)


def ratio(ours, theirs, key, bar, least):
    values = [a[key] / b[key] for a, b in zip(ours.results, theirs.results)]
    median = statistics.median(values)
    return {
        "of": key,
        "ours": ours.name,
        "theirs": theirs.name,
        "median": median,
        "min": min(values),
        "max": max(values),
        "bar": bar,
        "reached": None if bar is None else (median >= bar if least else median <= bar),
    }
