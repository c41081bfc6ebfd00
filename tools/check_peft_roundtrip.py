#!/usr/bin/env python3
"""Checks adapters between the real peft and the checkpoint module, in both directions.

check_peft_roundtrip.py --write-fixture
    peft saves an adapter of a tiny random llama, with patterns and a regex, into tests/golden/peft/adapter/, and
    its reading of it (rank, scaling and sums of the factors of every module) into expected.json beside it. The
    C++ tests read both.
check_peft_roundtrip.py CHECKPOINT_TEST
    the test program writes that adapter again; peft loads it, must use every tensor, and must compute the same
    logits with it as with its own. Exit status 1 otherwise.

Made with torch 2.13, transformers 5.23, peft 0.21.2.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import peft
import torch
import transformers
from safetensors.torch import load_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "peft" / "adapter"


def base_model():
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=24,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaForCausalLM(config).eval()


def write_fixture():
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        use_rslora=True,
        target_modules=r"model\.layers\.\d+\.(self_attn\.(q|v)_proj|mlp\.(?:up|down)_proj)",
        rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.[ug]p_proj": 6, "^model.layers.0.*down_proj": 3},
        alpha_pattern={"v_proj": 5, "model.layers.1.mlp.down_proj": 3},
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(base_model(), config)
    model.peft_config["default"].base_model_name_or_path = "tiny/llama"
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(FOLDER)
    (FOLDER / "README.md").unlink(missing_ok=True)
    (FOLDER / "adapter_model.safetensors").chmod(0o644)
    (FOLDER / "expected.json").write_text(json.dumps(expectations(model), indent=1) + "\n")


def expectations(model):
    expected = {}
    for name, module in model.named_modules():
        if isinstance(module, peft.tuners.lora.Linear):
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            expected[name.removeprefix("base_model.model.")] = {
                "r": module.r["default"],
                "scaling": module.scaling["default"],
                "in": a.shape[1],
                "out": b.shape[0],
                "sum_a": a.double().sum().item(),
                "sum_b": b.double().sum().item(),
            }
    return expected


@torch.no_grad()
def logits_with(folder):
    """Logits of a fixed input, having checked that every tensor of the file is in the model."""
    model = peft.PeftModel.from_pretrained(base_model(), folder).eval()
    file = load_file(pathlib.Path(folder) / "adapter_model.safetensors")
    state = peft.get_peft_model_state_dict(model)
    if sorted(file) != sorted(state) or any(not torch.equal(file[name], state[name]) for name in file):
        sys.exit(f"{folder}: peft did not load the whole file")
    return model(torch.arange(24)[None]).logits


def check(test_program):
    with tempfile.TemporaryDirectory() as folder:
        command = [test_program, "--gtest_filter=PeftTest.WritesForPeft"]
        subprocess.run(command, env={**os.environ, "LORIKEET_PEFT_OUT": folder}, check=True)
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        difference = (logits_with(folder) - logits_with(FOLDER)).abs().max().item()
        with torch.no_grad():
            effect = (logits_with(FOLDER) - base_model()(torch.arange(24)[None]).logits).abs().max().item()
    print(f"largest logit difference {difference:g}; of the adapter from the base {effect:g}")
    if difference != 0 or not effect > 1e-3 or math.isnan(effect):
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test_program", nargs="?")
    parser.add_argument("--write-fixture", action="store_true")
    arguments = parser.parse_args()
    if arguments.write_fixture:
        write_fixture()
    elif arguments.test_program:
        check(arguments.test_program)
    else:
        parser.error("give a test program or --write-fixture")
