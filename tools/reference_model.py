"""Common functions of the reference tools: load a model with exact (slow) settings; per-token log-probabilities."""

import importlib.metadata
import json
import os
import platform
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read by the imports below: a reference needs no network

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import PeftModel  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "f64": torch.float64}


def versions():
    """Versions that the reference numbers depend on."""
    names = ["torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "gguf"]
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def quiet():
    """One thread (the order of sums is then fixed) and no progress bars between the JSON lines."""
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)


def auto_class(config):
    """That of a language model, or of a wrapper with a vision tower around one."""
    wrapper = config.to_dict().get("text_config") is not None
    return transformers.AutoModelForImageTextToText if wrapper else transformers.AutoModelForCausalLM


def load_model(model_dir, dtype=torch.float32, adapter_dir=None):
    """Eager attention: the fused kernels sum in an order of their own."""
    config = transformers.AutoConfig.from_pretrained(model_dir)
    model = auto_class(config).from_pretrained(model_dir, dtype=dtype, attn_implementation="eager")
    if adapter_dir is not None:
        model = PeftModel.from_pretrained(model, adapter_dir)
    return model.eval()


def sequence_logits(model, tokens):
    """Logits (T, V) of one sequence, in a batch of its own."""
    return model(input_ids=torch.tensor([tokens], dtype=torch.long), use_cache=False).logits[0]


def logprobs_of(logits, targets):
    """log softmax(logits)[targets], (T,), in f32 or wider."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    rows = torch.log_softmax(wide, dim=-1)
    return rows.gather(1, torch.as_tensor(targets, dtype=torch.long)[:, None])[:, 0]


def read_token_lines(path):
    """Token lists from a JSON list of lists, or from JSONL lines {"tokens": [...]}."""
    text = Path(path).read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line)["tokens"] for line in text.splitlines() if line.strip()]


def chunked(ids, max_length):
    """Pieces of at most max_length tokens; a last piece of one token has nothing to predict and is dropped."""
    pieces = [ids[i : i + max_length] for i in range(0, len(ids), max_length)]
    return [piece for piece in pieces if len(piece) > 1]


@torch.no_grad()
def mean_nll(model, sequences):
    """(mean nats per predicted token, number of predicted tokens); every sequence starts fresh."""
    total, count = 0.0, 0
    for tokens in sequences:
        logprobs = logprobs_of(sequence_logits(model, tokens[:-1]), tokens[1:])
        total -= logprobs.double().sum().item()
        count += len(tokens) - 1
    return total / count, count
