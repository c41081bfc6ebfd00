#!/usr/bin/env python3
"""Writes tests/golden/model/<family>/: tiny random models and what transformers and peft compute with them.

Every number is made by the real libraries: logits, log-probabilities, loss, the gradient of every weight, of every
LoRA factor, and the losses of ten AdamW steps. tools/README.md describes the files. Runs in ten seconds.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from reference_model import load_model, logprobs_of, quiet, sequence_logits, versions

# 7, 1: short ones beside a boundary; 70 and 131: across one and two attention blocks of 64.
LENGTHS = (7, 70, 1, 131)
STEPS = 10
RANK, ALPHA = 4, 8
LORA_LR, FULL_LR = 1e-3, 1e-4
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Family:
    """One fixture: its config.json as written, and the runs that only it carries."""

    seed: int
    config: dict
    extra_lora_runs: dict = field(default_factory=dict)
    extra_full_runs: dict = field(default_factory=dict)


def base_config(architecture, model_type, **changes):
    config = {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": 96,
        "hidden_size": 32,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config.update(changes)
    return config


# Files of before transformers 5 say torch_dtype, rope_theta and rope_scaling; since then dtype and rope_parameters.
# Both spellings are in the wild, so both are here.
FAMILIES = {
    # Old spelling, no head_dim at all (hidden / heads), separate output matrix.
    "llama": Family(
        11,
        base_config(
            "LlamaForCausalLM", "llama", hidden_size=64, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=False, rope_theta=10000.0, rope_scaling=None, torch_dtype="float32",
        ),
        extra_lora_runs={"clip": {"max_norm": 0.25}},
        extra_full_runs={"clip": {"max_norm": 0.25}},
    ),
    # Old spelling of the Llama 3 rope; tied; original_max_position_embeddings puts the wavelengths of the eight
    # frequencies on both sides of, and inside, the blend.
    "llama3": Family(
        12,
        base_config(
            "LlamaForCausalLM", "llama", head_dim=16, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=True, rope_theta=10000.0, torch_dtype="float32",
            rope_scaling={
                "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64, "rope_type": "llama3",
            },
        ),
    ),
    # The same rope in the new spelling, every projection with a bias, three layers, odd vocabulary and F.
    "llama_bias": Family(
        13,
        base_config(
            "LlamaForCausalLM", "llama", head_dim=16, attention_bias=True, mlp_bias=True, vocab_size=101,
            intermediate_size=52, num_hidden_layers=3, tie_word_embeddings=False, dtype="float32",
            rope_parameters={
                "factor": 4.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64, "rope_theta": 500.0, "rope_type": "llama3",
            },
        ),
    ),
    # Old spelling, as Qwen2.5's own files: a sliding window that is named but off, no head_dim.
    "qwen2": Family(
        14,
        base_config(
            "Qwen2ForCausalLM", "qwen2", hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
            rms_norm_eps=1e-6, tie_word_embeddings=True, rope_theta=1000000.0, sliding_window=64,
            max_window_layers=1, use_sliding_window=False, torch_dtype="float32",
        ),
    ),
    # New spelling; head_dim is not hidden / heads; the norm of q and k.
    "qwen3": Family(
        15,
        base_config(
            "Qwen3ForCausalLM", "qwen3", head_dim=16, attention_bias=False, rms_norm_eps=1e-6,
            tie_word_embeddings=False, sliding_window=None, use_sliding_window=False, max_window_layers=2,
            layer_types=["full_attention", "full_attention"], dtype="float32",
            rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
        ),
        extra_lora_runs={"weight_decay": {"weight_decay": 0.1}},
    ),
}


def random_weight(name, shape, generator):
    """Far from every default, so that a forgotten norm weight or bias shows. Values that bf16 holds, as in real
    checkpoints: then a bf16 run differs by its arithmetic alone, not by the rounding of its weights."""
    return bf16_values(unrounded_weight(name, torch.randn(shape, generator=generator), shape))


def bf16_values(tensor):
    return tensor.bfloat16().float()


def unrounded_weight(name, noise, shape):
    if name.endswith("norm.weight"):
        return 1.0 + 0.2 * noise
    if name.endswith(".bias"):
        return 0.2 * noise
    if name.endswith("embed_tokens.weight"):
        return 0.35 * noise
    return 0.8 / shape[1] ** 0.5 * noise


def write_base(family, folder):
    """config.json as written above, and model.safetensors with the names that save_pretrained gives."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(family.config, indent=2) + "\n")
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(family.seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):  # a tied lm_head is listed once
            weight.copy_(random_weight(name, weight.shape, generator))
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        shutil.copy(Path(scratch) / "model.safetensors", folder / "model.safetensors")


def write_adapter(family, base_folder, folder):
    """A as peft draws it; B random, since peft's zero would leave half of the arithmetic untested."""
    torch.manual_seed(family.seed)
    lora = LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=TARGETS, bias="none", task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_model(base_folder), lora)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.copy_(0.1 * torch.randn(weight.shape))
            if ".lora_" in name:
                weight.copy_(bf16_values(weight))
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = None  # a path of this machine
    config["target_modules"] = sorted(config["target_modules"])  # a set: its order changes from run to run
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_batch(family):
    """Sequences with explicit targets (so the last row has one too) and weights: masked, whole and fractional."""
    random = np.random.default_rng(family.seed)
    sequences = []
    for length in LENGTHS:
        ids = random.integers(0, family.config["vocab_size"], length + 1).tolist()
        weights = (random.random(length) < 0.7).astype(np.float32)
        if length > 10:
            weights[: length // 4] = 0.0  # a prompt
            weights[length // 2] = 0.5
            weights[length - 3] = 0.25
        weights[length - 1] = 1.0
        sequences.append({"tokens": ids[:-1], "targets": ids[1:], "weights": weights.tolist()})
    return sequences


def weighted_loss(model, batch):
    """(loss, logits (T, V), logprobs (T)): sum(weights * nll) / sum(weights), sequence by sequence."""
    logits = [sequence_logits(model, s["tokens"]) for s in batch]
    logprobs = [logprobs_of(x, s["targets"]) for x, s in zip(logits, batch)]
    weights = torch.tensor([w for s in batch for w in s["weights"]])
    logits, logprobs = torch.cat(logits), torch.cat(logprobs)
    return -(weights * logprobs).sum() / weights.sum(), logits, logprobs


def train(model, batch, lr, weight_decay=0.0, max_norm=None):
    """Losses before each of the ten steps and, where clipped, the norms before clipping."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad(set_to_none=True)
        loss, _, _ = weighted_loss(model, batch)
        loss.backward()
        limit = float("inf") if max_norm is None else max_norm
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit).item())
        optimiser.step()
        losses.append(loss.item())
    return losses, norms


def load_trainable(base_folder, adapter_folder):
    model = PeftModel.from_pretrained(load_model(base_folder), adapter_folder, is_trainable=True)
    return model.eval()


def lora_gradients(model):
    """Gradients under the keys of peft's own file: its state dict, with each weight replaced by its gradient."""
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    state = get_peft_model_state_dict(model, state_dict=gradients)
    assert len(state) == len(gradients)
    return state


def batch_tensors(batch):
    flat = lambda key: [x for s in batch for x in s[key]]
    offsets = np.cumsum([0] + [len(s["tokens"]) for s in batch])
    return {
        "tokens": torch.tensor(flat("tokens"), dtype=torch.int32),
        "targets": torch.tensor(flat("targets"), dtype=torch.int32),
        "weights": torch.tensor(flat("weights"), dtype=torch.float32),
        "offsets": torch.tensor(offsets, dtype=torch.int32),
    }


def expected_tensors(folder, batch):
    tensors = batch_tensors(batch)
    model = load_model(folder)
    loss, tensors["logits"], tensors["logprobs"] = weighted_loss(model, batch)
    loss.backward()
    tensors["loss"] = loss.reshape(1)
    for name, weight in model.named_parameters():
        tensors["grad." + name] = weight.grad

    model = load_trainable(folder, folder / "adapter")
    loss, tensors["lora_logits"], tensors["lora_logprobs"] = weighted_loss(model, batch)
    loss.backward()
    tensors["lora_loss"] = loss.reshape(1)
    for name, gradient in lora_gradients(model).items():
        tensors["lora_grad." + name] = gradient
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def training_runs(family, folder, batch):
    """{"lora_losses": [...], "lora_grad_norms": [...], "lora_losses_<variant>": ...} and the same for full."""
    adapter = folder / "adapter"
    methods = {
        "lora": (LORA_LR, lambda: load_trainable(folder, adapter), {"": {}, **family.extra_lora_runs}),
        "full": (FULL_LR, lambda: load_model(folder), {"": {}, **family.extra_full_runs}),
    }
    runs = {}
    for method, (lr, load, variants) in methods.items():
        for variant, options in variants.items():
            losses, norms = train(load(), batch, lr, **options)
            if "max_norm" in options:
                assert max(norms) > options["max_norm"], "the clip is never active"
            suffix = "_" + variant if variant else ""
            runs[f"{method}_losses{suffix}"] = losses
            runs[f"{method}_grad_norms{suffix}"] = norms
    return runs


def make_family(name, folder):
    family = FAMILIES[name]
    write_base(family, folder)
    write_adapter(family, folder, folder / "adapter")
    batch = make_batch(family)
    tensors = expected_tensors(folder, batch)
    save_file(tensors, folder / "expected.safetensors")
    golden = {
        "family": name,
        "versions": versions(),
        "config": family.config,
        "batch": batch,
        "loss": tensors["loss"].item(),
        "lora_loss": tensors["lora_loss"].item(),
        "adamw": {
            "steps": STEPS, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0,
            "lora_learning_rate": LORA_LR, "full_learning_rate": FULL_LR,
            "lora_variants": family.extra_lora_runs, "full_variants": family.extra_full_runs,
        },
        **training_runs(family, folder, batch),
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default_out = Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
    parser.add_argument("--out", type=Path, default=default_out)
    parser.add_argument("--family", choices=sorted(FAMILIES), action="append", help="only this one (repeatable)")
    options = parser.parse_args()
    quiet()
    for name in options.family or FAMILIES:
        folder = options.out / name
        shutil.rmtree(folder, ignore_errors=True)
        golden = make_family(name, folder)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        lora, full = golden["lora_losses"], golden["full_losses"]
        print(f"{name}: {size / 1e3:.0f} kB, loss {full[0]:.4f} -> {full[-1]:.4f} full, "
              f"{lora[0]:.4f} -> {lora[-1]:.4f} LoRA, gradient norms {golden['full_grad_norms'][0]:.3f} "
              f"{golden['lora_grad_norms'][0]:.3f}")


if __name__ == "__main__":
    main()
