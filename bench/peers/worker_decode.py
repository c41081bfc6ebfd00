"""Greedy decoding by transformers' generate: prompts of random tokens, every sequence to its full length."""

import time

import torch
import transformers

import worker


class Clock(transformers.StoppingCriteria):
    """Is asked after each token of all sequences; notes when, and stops nothing."""

    def __init__(self):
        self.times = []

    def __call__(self, input_ids, scores, **kwargs):
        self.times.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


def generate(model, prompts, new_tokens):
    """Returns seconds from the start to the first token, and from there to the last one."""
    clock = Clock()
    begin = time.perf_counter()
    model.generate(
        input_ids=prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=new_tokens,
        do_sample=False,
        stopping_criteria=transformers.StoppingCriteriaList([clock]),
    )
    if len(clock.times) != new_tokens:
        raise SystemExit(f"{len(clock.times)} tokens were generated, not {new_tokens}")
    return clock.times[0] - begin, clock.times[-1] - clock.times[0]


@torch.inference_mode()
def decode(task):
    torch.manual_seed(1)
    model = worker.load_model(task["model"], task["dtype"]).eval()
    model.generation_config.eos_token_id = None  # no sequence ends early
    model.generation_config.pad_token_id = 0
    shape = (task["batch"], task["prompt_tokens"])
    generate(model, torch.randint(0, model.config.vocab_size, shape), min(4, task["new_tokens"]))
    prompt, decoding = generate(model, torch.randint(0, model.config.vocab_size, shape), task["new_tokens"])
    return {
        "tokens_per_second": task["batch"] * (task["new_tokens"] - 1) / decoding,
        "prompt_tokens_per_second": task["batch"] * task["prompt_tokens"] / prompt,
    }


if __name__ == "__main__":
    worker.run(decode)
