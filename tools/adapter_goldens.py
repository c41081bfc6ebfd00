#!/usr/bin/env python3
"""Writes tests/golden/adapters/<case>/: adapters as peft saves them, on the models of tests/golden/model/, and what peft
computes with them.

adapter_config.json, adapter_model.safetensors   the adapter
expected.safetensors   tokens, targets (T) i32 and offsets (S+1) i32 of a batch; logprobs (T) f32 of the targets with the
                       adapter; DoRA: loss (1), the mean of -logprobs, grad.<key of the adapter file> of loss, losses (5),
                       each before its step of AdamW with learning rate 1e-2, merged.<module> of merge_and_unload

Usage: tools/adapter_goldens.py   (the environment of tools/requirements.txt; ten seconds)
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from reference_model import load_model, logprobs_of, quiet, sequence_logits

ROOT = Path(__file__).resolve().parent.parent / "tests" / "golden"
LENGTHS = (9, 70)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def batch(vocab):
    generator = torch.Generator().manual_seed(5)
    draw = lambda: [torch.randint(0, vocab, (n,), generator=generator).tolist() for n in LENGTHS]  # noqa: E731
    return draw(), draw()


def randomise(model):
    """B and the magnitudes as after training."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if "lora_magnitude" in name:
            parameter.data *= 1 + 0.2 * torch.randn(parameter.shape, generator=generator)
        elif "lora_" in name:
            parameter.data.normal_(0, 0.1, generator=generator)


def all_logprobs(model, tokens, targets):
    return torch.cat([logprobs_of(sequence_logits(model, t), y) for t, y in zip(tokens, targets)])


def make(name, base, config, save_embeddings=False, change=None):
    """change(dir): edits the saved files before they are read again."""
    out = ROOT / "adapters" / name
    shutil.rmtree(out, ignore_errors=True)
    model = get_peft_model(load_model(ROOT / "model" / base), LoraConfig(task_type="CAUSAL_LM", **config))
    randomise(model)
    model.save_pretrained(out, save_embedding_layers=save_embeddings)
    (out / "README.md").unlink()
    if change:
        change(out)
    peft_config = json.loads((out / "adapter_config.json").read_text())
    peft_config["base_model_name_or_path"] = f"tiny/{base}"
    for key in ("target_modules", "exclude_modules"):  # sets, written in any order
        if isinstance(peft_config[key], list):
            peft_config[key].sort()
    (out / "adapter_config.json").write_text(json.dumps(peft_config, indent=2) + "\n")
    (out / "adapter_model.safetensors").chmod(0o644)

    model = PeftModel.from_pretrained(load_model(ROOT / "model" / base), out, is_trainable=True).eval()
    tokens, targets = batch(96)
    expected = {
        "tokens": torch.tensor(sum(tokens, []), dtype=torch.int32),
        "targets": torch.tensor(sum(targets, []), dtype=torch.int32),
        "offsets": torch.tensor([0, LENGTHS[0], sum(LENGTHS)], dtype=torch.int32),
    }
    logprobs = all_logprobs(model, tokens, targets)
    expected["logprobs"] = logprobs.detach()
    if config.get("use_dora"):
        expected |= training(model, logprobs, tokens, targets)
    save_file(expected, out / "expected.safetensors")
    (out / "expected.safetensors").chmod(0o644)


def training(model, logprobs, tokens, targets):
    expected = {"loss": -logprobs.mean().detach().reshape(1)}
    loss = -logprobs.mean()
    loss.backward()
    grads = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            key = name.replace(".default", "").removesuffix(".weight") if "magnitude" in name else name.replace(".default", "")
            grads[f"grad.{key}"] = parameter.grad.clone()
    keys = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    assert {"grad." + key for key in keys if "lora_" in key} == set(grads), sorted(grads)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0)
    losses = []
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(5):
        optimizer.zero_grad()
        loss = -all_logprobs(model, tokens, targets).mean()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(before[name])
    plain = model.merge_and_unload().state_dict()
    modules = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight"]
    expected |= {f"merged.{name}": plain[name].clone() for name in modules}
    return expected | grads | {"losses": torch.tensor(losses)}


def edit_config(**changes):
    def change(out):
        path = out / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2))

    return change


def change_embedding(out):
    path = out / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors["base_model.model.model.embed_tokens.weight"][7, 3] += 0.5
    save_file(tensors, path, {"format": "pt"})


def main():
    quiet()
    plain = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    make("layers", "llama", plain | {"layers_to_transform": [1]})
    make("layers_pattern", "llama", plain | {"layers_to_transform": 0, "layers_pattern": ["layers"]})
    make("exclude", "llama", plain | {"target_modules": "all-linear", "exclude_modules": ["v_proj"]})
    order = {"q_proj": 4, "layers.0.self_attn.q_proj": 64}
    make("order", "llama", plain | {"target_modules": ["q_proj", "v_proj", "down_proj"]},
         change=edit_config(alpha_pattern=order))
    make("copies", "llama", plain, save_embeddings=True)
    make("copies_tied", "qwen2", plain, save_embeddings=True)
    make("copies_differ", "llama", plain, save_embeddings=True, change=change_embedding)
    make("saved_unchanged", "llama", plain | {"modules_to_save": ["lm_head", "norm"]})
    make("dora", "llama", plain | {"target_modules": ALL + ["lm_head"], "use_dora": True, "use_rslora": True,
                                   "rank_pattern": {"down_proj": 2}})
    make("dora_bias", "llama_bias", plain | {"target_modules": ALL, "use_dora": True})


if __name__ == "__main__":
    main()
