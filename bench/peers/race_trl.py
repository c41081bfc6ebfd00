"""SFT on chats of mixed lengths, learning what the assistant says: lorikeet sft against trl's SFTTrainer."""

from peers.race import BF16_TOLERANCE, LEARNING_RATE, Entry, Race, fastest, run_rounds, step_rate

MAX_LENGTH = 1024  # trl's default
# All else stays at the trainer's defaults: padded batches, gradient checkpointing, bf16 autocast over f32 weights.
DEFAULT_BATCH = 8
DEFAULTS = {"per_device_train_batch_size": DEFAULT_BATCH}
PACKED_BATCH = 16
PACKINGS = {
    # Rows of max_length tokens filled with whole examples.
    "packing": {"packing": True, "max_length": MAX_LENGTH, "per_device_train_batch_size": 1},
    # A batch laid end to end; trl wants max_length off then.
    "padding_free": {"padding_free": True, "max_length": None, "per_device_train_batch_size": PACKED_BATCH},
}
DTYPES = {
    "f32": {"bf16": False},
    "bf16-autocast": {"bf16": True},
    "bf16-weights": {"bf16": False, "weights": "bfloat16"},
}
QUICK_DTYPES = ("f32", "bf16-weights")
DEFAULT_BAR, PACKED_BAR, MEMORY_BAR = 5, 2.5, 1 / 3


def trl_race(context):
    race = Race("trl", "SFT on chats, assistant-only loss, LoRA on all linear layers", "trained tokens/s")
    race.settings = {"data": context.data, "lora_r": context.rank}
    best = choose_packing(context)
    default = peer_entry(context, "defaults", DEFAULTS, context.trl_steps)
    small, large = our_entry(context, DEFAULT_BATCH), our_entry(context, PACKED_BATCH)
    race.entries = [entry for entry in (small, default, large, best) if entry]
    run_rounds(race.entries, context.rounds)
    race.compare(small, default, DEFAULT_BAR, MEMORY_BAR)
    race.compare(large, best, PACKED_BAR, MEMORY_BAR)
    check_steps(race, small, default)
    if best and "padding_free" in best.name:
        check_steps(race, large, best)
    elif best:
        race.notes.append("packing chooses a step's examples by their lengths: no loss of the same step to compare")
    describe_steps(race, [default, best])
    return race


def choose_packing(context):
    """The fastest of trl's two packings and three ways of using dtypes, without gradient checkpointing."""
    print("  trl's best packing, one try each", flush=True)
    first, second = PACKINGS if not context.quick else ("padding_free", "packing")
    dtypes = QUICK_DTYPES if context.quick else DTYPES
    tries = {(first, dtype): packed_entry(context, first, dtype, 1) for dtype in dtypes}
    best = fastest(tries.values())
    if not context.quick:
        dtype = next((dtype for (_, dtype), entry in tries.items() if entry is best), "f32")
        tries[second, dtype] = packed_entry(context, second, dtype, 1)
        fastest([tries[second, dtype]])
    packing, dtype = max(tries, key=lambda choice: tries[choice].tried_rate())
    return packed_entry(context, packing, dtype, context.trl_steps) if tries[packing, dtype].tried else None


def packed_entry(context, packing, dtype, steps):
    settings = PACKINGS[packing] | DTYPES[dtype] | {"gradient_checkpointing": False}
    return peer_entry(context, f"{packing} {dtype}", settings, steps)


def peer_entry(context, name, settings, steps):
    threads = context.peer_threads or context.cpus
    task = {"model": context.model, "data": context.data, "rank": context.rank, "threads": threads,
            "learning_rate": LEARNING_RATE, "warmup": 1, "steps": steps, "settings": settings}

    def run():
        result = context.worker("worker_trl.py", task, threads, "trl-" + name.replace(" ", "-"))
        return result | {"rate": step_rate(result["all_steps"][1:], "trained_tokens")}

    return Entry(f"trl {name}, {threads} threads", run)


def our_entry(context, batch):
    def run():
        steps = context.trl_steps + 1
        result = context.lorikeet.sft(context.data, batch, MAX_LENGTH, context.rank, LEARNING_RATE, steps)
        return result | {"rate": step_rate(result["all_steps"][1:], "trained_tokens")}

    return Entry(f"lorikeet sft, {batch} examples a step", run)


def check_steps(race, ours, theirs):
    """Both take the file's examples in their order, and at the first step every B is zero."""
    if not ours.results or not theirs.results:
        return
    a, b = ours.results[0]["all_steps"], theirs.results[0]["all_steps"]
    race.check(f"first loss of {theirs.name} | {ours.name}", b[0]["loss"], a[0]["loss"], BF16_TOLERANCE)
    trained = [sum(step["trained_tokens"] for step in steps) for steps in (b, a)]
    race.check(f"trained tokens of {theirs.name} | {ours.name}", *trained, 0)


def describe_steps(race, entries):
    for entry in entries:
        if not entry or not entry.results:
            continue
        steps = entry.results[0]["all_steps"]
        total = {key: sum(step[key] for step in steps) for key in ("computed_tokens", "tokens", "examples")}
        padding = 100 * (1 - total["tokens"] / total["computed_tokens"])
        race.notes.append(f"{entry.name}: {total['examples'] / len(steps):.1f} examples a step, "
                          f"{padding:.0f} % of the tokens padding")
        race.settings["trl_template"] = entry.results[0]["template"]
