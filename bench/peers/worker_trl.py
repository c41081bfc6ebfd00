"""Steps of trl's SFTTrainer with LoRA on chats, learning what the assistant says.

The task's "settings" are those that leave the trainer's defaults: padding, gradient checkpointing and bf16 autocast
over f32 weights are its defaults and stay unless named.
"""

import tempfile
import time

import datasets
import peft
import torch
import transformers
import trl

import worker

PIECES = ("<|im_start|>", "<|im_end|>")

# ChatML with the marks by which trl finds the assistant's tokens. The assistant's part ends with its
# end-of-turn token, as in Lorikeet. The system message is the one that the model's own template adds.
TRAINING_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}{{ SYSTEM }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def training_template(tokenizer):
    """The model's template if it marks the assistant's part, else ChatML with marks if that writes the same text;
    None leaves it to trl, which knows some models' templates."""
    if "{% generation %}" in tokenizer.chat_template:
        return tokenizer.chat_template, "the model's own"
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    own = tokenizer.apply_chat_template(chat, tokenize=False)
    if not all(piece in own for piece in PIECES):
        return None, "trl's for this model"
    system = own[: own.index("<|im_start|>user")]
    template = TRAINING_TEMPLATE.replace("SYSTEM", "'" + system.replace("'", "\\'").replace("\n", "\\n") + "'")
    if tokenizer.apply_chat_template(chat, tokenize=False, chat_template=template) != own:
        return None, "trl's for this model"
    return template, "ChatML with generation marks, patched in; the same text as the model's own"


class TimedTrainer(trl.SFTTrainer):
    """Notes what each step's batch holds and its loss."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.steps = []

    def training_step(self, model, inputs, *args, **kwargs):
        positions = inputs.get("position_ids")
        mask = inputs.get("attention_mask")
        step = {
            "trained_tokens": int((inputs["labels"][:, 1:] != -100).sum()),
            "computed_tokens": inputs["input_ids"].numel(),
            "tokens": inputs["input_ids"].numel() if mask is None else int(mask.sum()),
            "examples": inputs["input_ids"].shape[0] if positions is None else int((positions == 0).sum()),
        }
        loss = super().training_step(model, inputs, *args, **kwargs)
        self.steps.append(step | {"loss": float(loss)})
        return loss


class Clock(transformers.TrainerCallback):
    """A step's time, without the loading of its data and without logging."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *args, **kwargs):
        self.begin = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        self.seconds.append(time.perf_counter() - self.begin)


def make_trainer(task, folder, clock):
    tokenizer = transformers.AutoTokenizer.from_pretrained(task["model"])
    template, source = training_template(tokenizer)
    if template:
        tokenizer.chat_template = template
    settings = dict(task["settings"])
    weights = settings.pop("weights", "float32")
    config = trl.SFTConfig(
        output_dir=folder,
        use_cpu=True,
        max_steps=task["warmup"] + task["steps"],
        learning_rate=task["learning_rate"],
        assistant_only_loss=True,
        train_sampling_strategy="sequential",  # the same examples in the same steps as Lorikeet
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        model_init_kwargs={"dtype": weights, "attn_implementation": "sdpa"},
        **settings,
    )
    rows = [{"messages": row["messages"]} for row in worker.read_jsonl(task["data"])]
    trainer = TimedTrainer(
        model=task["model"],
        args=config,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=peft.LoraConfig(
            r=task["rank"], lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[clock],
    )
    return trainer, source


def train(task):
    datasets.disable_progress_bars()
    transformers.set_seed(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer, source = make_trainer(task, folder, clock)
        trainer.train()
    steps = [step | {"seconds": taken} for step, taken in zip(trainer.steps, clock.seconds, strict=True)]
    dtypes = sorted({str(p.dtype) for p in trainer.model.parameters()})
    return {"all_steps": steps, "template": source, "parameter_dtypes": dtypes}


if __name__ == "__main__":
    worker.run(train)
