#!/usr/bin/env python3
"""Checks that peft (and transformers, for a merged folder) and lorikeet compute the same logits, in f32.

Runs `lorikeet eval --token-logprobs --dump-logits` on fixed token ids and compares with the real libraries. Also
checks that peft loads every tensor of the adapter's file. Exit status 1 when a difference is above the limit,
1e-4 of the largest logit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from expert_adapters import split_fused
from reference_model import load_model, logprobs_of, quiet, read_token_lines, sequence_logits, versions
from reference_nll import write_token_lines

LIMIT = 1e-4
LENGTHS = (3, 64, 129)  # below, at and beyond attention blocks of 64


def fixed_sequences(model_dir):
    """Random ids: the hardest input, and independent of the tokenizer."""
    vocab_size = json.loads((Path(model_dir) / "config.json").read_text())["vocab_size"]
    random = np.random.default_rng(7)
    return [random.integers(0, vocab_size, length).tolist() for length in LENGTHS]


@torch.no_grad()
def reference(model_dir, adapter_dir, sequences):
    """(logits (T, V) of all rows, [logprobs of tokens[1:]] per sequence)."""
    model = load_model(model_dir, adapter_dir=adapter_dir)
    if adapter_dir is not None:
        require_all_loaded(model, adapter_dir)
    logits = [sequence_logits(model, tokens) for tokens in sequences]
    logprobs = [logprobs_of(x[:-1], tokens[1:]) for x, tokens in zip(logits, sequences)]
    return torch.cat(logits), logprobs


def require_all_loaded(model, adapter_dir):
    """peft only warns of missing and unexpected keys."""
    from peft import get_peft_model_state_dict

    file = load_file(Path(adapter_dir) / "adapter_model.safetensors")
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    if any(".experts.0." in name for name in file):  # fused by peft
        mixtral = any(".block_sparse_moe." in name for name in file)
        names = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        state = split_fused(state, model.config.num_local_experts, names)
    if sorted(file) != sorted(state):
        sys.exit(f"{adapter_dir}: peft and the file differ in keys: {sorted(set(file) ^ set(state))[:6]}")
    changed = [name for name in file if not torch.equal(file[name].float(), state[name].float())]
    if changed:
        sys.exit(f"{adapter_dir}: peft read other values for {changed[:6]}")


def lorikeet(binary, model_dir, adapter_dir, sequences):
    """The same two results, from lorikeet."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        write_token_lines(scratch / "ids.jsonl", sequences)
        command = [
            str(binary), "eval", "--model", str(model_dir), "--data", str(scratch / "ids.jsonl"), "--dtype", "f32",
            "--token-logprobs", str(scratch / "logprobs.jsonl"), "--dump-logits", str(scratch / "logits.safetensors"),
        ]
        if adapter_dir is not None:
            command += ["--adapter", str(adapter_dir)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\nexit status {done.returncode}: {done.stderr.strip()}")
        logits = load_file(scratch / "logits.safetensors")["logits"]
        lines = (scratch / "logprobs.jsonl").read_text().splitlines()
    return logits, [torch.tensor(json.loads(line)["logprobs"]) for line in lines if line.strip()]


def compare(what, theirs, ours):
    """Prints the differences and returns whether they are within the limit."""
    (their_logits, their_logprobs), (our_logits, our_logprobs) = theirs, ours
    shapes = (tuple(their_logits.shape), [len(x) for x in their_logprobs])
    if shapes != (tuple(our_logits.shape), [len(x) for x in our_logprobs]):
        sys.exit(f"{what}: lorikeet wrote logits {tuple(our_logits.shape)} and {len(our_logprobs)} lines of "
                 f"log-probabilities; expected {shapes[0]} and {len(their_logprobs)}")
    scale = their_logits.abs().max().item()
    logit = (their_logits - our_logits).abs().max().item()
    logprob = (torch.cat(their_logprobs) - torch.cat(our_logprobs)).abs().max().item()
    good = logit <= LIMIT * scale and logprob <= LIMIT * scale  # false for NaN too
    print(json.dumps({
        "check": what, "pass": good, "max_logit_difference": logit, "max_logprob_difference": logprob,
        "largest_logit": scale, "relative": logit / scale,
        "relative_norm": ((their_logits - our_logits).norm() / their_logits.norm()).item(),
    }))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the base model's Hugging Face folder")
    parser.add_argument("--adapter", help="a PEFT folder")
    parser.add_argument("--merged", help="the folder that `lorikeet merge` wrote")
    parser.add_argument("--lorikeet", default="build/release/lorikeet", help="the program")
    parser.add_argument("--ids", help="token ids to use instead of the fixed ones (as for reference_nll.py)")
    options = parser.parse_args()
    if not options.adapter and not options.merged:
        parser.error("give --adapter, --merged or both")
    quiet()
    sequences = read_token_lines(options.ids) if options.ids else fixed_sequences(options.model)
    print(json.dumps({"versions": versions()}))
    good, adapted, merged = True, None, None
    if options.adapter:
        adapted = reference(options.model, options.adapter, sequences)
        ours = lorikeet(options.lorikeet, options.model, options.adapter, sequences)
        good &= compare("adapter in peft", adapted, ours)
        base, _ = reference(options.model, None, sequences)
        print(json.dumps({"adapter_moves_logits_by": (adapted[0] - base).abs().max().item()}))
    if options.merged:
        merged = reference(options.merged, None, sequences)
        ours = lorikeet(options.lorikeet, options.merged, None, sequences)
        good &= compare("merged in transformers", merged, ours)
    if adapted and merged:  # rounding to the merged file's dtype: for information
        print(json.dumps({"merged_against_adapter": (adapted[0] - merged[0]).abs().max().item()}))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
