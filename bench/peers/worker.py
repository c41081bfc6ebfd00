"""What the workers share. They run in the peers' Python: python worker_X.py TASK_JSON RESULT_FILE."""

import json
import logging
import sys
import warnings

import torch
import transformers


def run(work):
    """Gives the task to `work` and writes what it returns."""
    task = json.loads(sys.argv[1])
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.ERROR)
    transformers.utils.logging.set_verbosity_error()
    if task.get("threads"):
        torch.set_num_threads(task["threads"])
    result = work(task)
    result["threads"] = torch.get_num_threads()
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(result, file)


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def load_model(path, dtype):
    """dtype: "f32", or "bf16..." for weights in bf16. SDPA is the fastest attention that CPUs have in PyTorch."""
    torch_dtype = torch.float32 if dtype == "f32" else torch.bfloat16
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch_dtype, attn_implementation="sdpa")
