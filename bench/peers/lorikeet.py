"""Lorikeet's side of each race, in the shape that the peers' workers answer in."""

import json
import pathlib
import tempfile


class Lorikeet:
    def __init__(self, binary, model, runner, threads):
        self.binary, self.model, self.runner, self.threads = str(binary), str(model), runner, threads

    def version(self):
        return self.runner.run("lorikeet-version", [self.binary, "--version"])[0].strip()

    def _run(self, name, *arguments):
        command = [self.binary, *map(str, arguments), "--threads", str(self.threads), "--json"]
        return self.runner.run_json(name, command, self.threads) | {"threads": self.threads}

    def mean_nll(self, data, max_length):
        """Of a file's tokens, computed in f32: what every contestant's first loss must be."""
        return self._run("lorikeet-eval", "eval", self.model, "--data", data, "--max-length", max_length,
                         "--dtype", "f32")["nll"]

    def bench_train(self, rank, tokens, length, warmup, steps):
        return self._run("lorikeet-bench-train", "bench", "train", self.model, "--lora-r", rank, "--tokens", tokens,
                         "--max-length", length, "--warmup", warmup, "--steps", steps)

    def bench_decode(self, batch, prompt_tokens, new_tokens):
        return self._run("lorikeet-bench-decode", "bench", "decode", self.model, "--batch", batch, "--prompt-tokens",
                         prompt_tokens, "--new-tokens", new_tokens, "--rounds", 1)

    def sft(self, data, batch_size, max_length, rank, learning_rate, steps):
        """Steps over the file's rows in their order; returns {"all_steps": the lines of metrics.jsonl}."""
        with tempfile.TemporaryDirectory() as folder:
            summary = self._run("lorikeet-sft", "sft", self.model, "--data", data, "--batch-size", batch_size,
                                "--max-length", max_length, "--lora-r", rank, "--learning-rate", learning_rate,
                                "--max-steps", steps, "--no-shuffle", "--save-steps", 0, "--report-to", "none",
                                "--output-dir", folder, "--overwrite-output-dir")
            lines = (pathlib.Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return summary | {"all_steps": steps_of(lines)}


def steps_of(lines):
    """metrics.jsonl counts tokens from the run's beginning; here each step has its own."""
    steps, tokens, trained = [], 0, 0
    for line in map(json.loads, lines):
        if "step_seconds" not in line:
            continue
        steps.append({
            "tokens": line["num_tokens"] - tokens,
            "trained_tokens": line["trained_tokens"] - trained,
            "loss": line["loss"],
            "seconds": line["step_seconds"],
        })
        tokens, trained = line["num_tokens"], line["trained_tokens"]
    return steps
