"""LoRA steps of transformers + peft on rows of token ids of equal length: one batch, forward, backward, AdamW."""

import time

import peft
import torch

import worker


def make_model(task):
    config = peft.LoraConfig(
        r=task["rank"], lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    base = worker.load_model(task["model"], task["dtype"])
    # peft keeps adapters of a bf16 base in f32 unless told otherwise; all in bf16 saves it the casts.
    return peft.get_peft_model(base, config, autocast_adapter_dtype=task["dtype"] != "bf16-all").train()


def train(task):
    torch.manual_seed(1)
    rows = torch.tensor([row["tokens"] for row in worker.read_jsonl(task["ids"])])  # (S, length + 1)
    # Each token but a row's last is an input and each but its first a target, so that inputs and targets are as many
    # as Lorikeet's. The mask is left out: without padding SDPA then takes its causal path.
    inputs, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    model = make_model(task)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=task["learning_rate"], weight_decay=0.0)
    losses, seconds = [], []
    for _ in range(task["warmup"] + task["steps"]):
        begin = time.perf_counter()
        loss = model(input_ids=inputs, labels=targets, shift_labels=targets, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    return {
        "losses": losses,
        "step_seconds": seconds[task["warmup"] :],
        "tokens_per_step": inputs.numel(),
        "trainable_parameters": sum(p.numel() for p in trainable),
    }


if __name__ == "__main__":
    worker.run(train)
