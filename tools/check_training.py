#!/usr/bin/env python3
"""Trains an adapter in peft and compares the losses with a run of lorikeet (its metrics.jsonl), step by step.

The data are JSONL lines {"tokens": [...], "weights": [...]}: weights[i] is the weight of predicting tokens[i];
weights[0] is not used. All lines together are the batch of every step, so that the order of examples does not
matter. Start lorikeet from the same adapter, with the batch as large as the file, f32, a constant learning rate
and the same settings as here. Exit status 1 when a loss differs by more than 1e-4.
"""

import argparse
import json
import sys

import torch
from peft import PeftModel

from reference_model import load_model, logprobs_of, quiet, sequence_logits, versions

LIMIT = 1e-4


def read_examples(path):
    with open(path, encoding="utf-8") as file:
        examples = [json.loads(line) for line in file if line.strip()]
    for number, example in enumerate(examples, 1):
        if len(example["tokens"]) != len(example["weights"]):
            sys.exit(f"{path}: example {number} has {len(example['tokens'])} tokens "
                     f"but {len(example['weights'])} weights")
    return examples


def backward(model, examples):
    """sum(weights * nll) / sum(weights), its gradient summed example by example to save memory."""
    total = sum(sum(example["weights"][1:]) for example in examples)
    loss = 0.0
    for example in examples:
        tokens, weights = example["tokens"], torch.tensor(example["weights"][1:], dtype=torch.float32)
        part = -(weights * logprobs_of(sequence_logits(model, tokens[:-1]), tokens[1:])).sum() / total
        part.backward()
        loss += part.item()
    return loss


def peft_losses(options):
    """Loss before each step."""
    base = load_model(options.model)
    if options.adapter:
        model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True).eval()
    else:
        model = base  # full fine-tuning
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=options.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=options.weight_decay
    )
    examples, losses = read_examples(options.data), []
    for _ in range(options.steps):
        optimiser.zero_grad(set_to_none=True)
        losses.append(backward(model, examples))
        if options.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(parameters, options.max_grad_norm)
        optimiser.step()
    return losses


def lorikeet_losses(path, key):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    return [line[key] for line in lines if key in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder")
    parser.add_argument("--adapter", help="the PEFT folder both start from; without it, full fine-tuning")
    parser.add_argument("--data", required=True, help="JSONL with tokens and weights")
    parser.add_argument("--metrics", help="metrics.jsonl of the lorikeet run; without it the losses are only printed")
    parser.add_argument("--loss-key", default="loss", help="key of the training loss there")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--max-grad-norm", type=float, default=0.0, help="0 does not clip")
    options = parser.parse_args()
    quiet()
    theirs = peft_losses(options)
    report = {"versions": versions(), "reference_losses": theirs}
    good = True
    if options.metrics:
        ours = lorikeet_losses(options.metrics, options.loss_key)[: options.steps]
        if len(ours) < options.steps:
            sys.exit(f"{options.metrics}: {len(ours)} lines with \"{options.loss_key}\", {options.steps} needed")
        difference = max(abs(a - b) for a, b in zip(theirs, ours))
        good = all(abs(a - b) <= LIMIT for a, b in zip(theirs, ours))  # false for NaN, which max() may ignore
        report |= {"lorikeet_losses": ours, "max_difference": difference, "pass": good}
    print(json.dumps(report, indent=2))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
