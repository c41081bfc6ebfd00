"""LoRA steps on sequences of equal length: lorikeet sft and bench train against transformers + peft."""

from peers.race import BF16_TOLERANCE, LEARNING_RATE, Entry, Race, best_of, fastest, run_rounds, step_rate

F32_TOLERANCE = 1e-4  # nats per token; f32 against f32 differs by the order of sums only
# Of the peers' weights. peft keeps the adapters of a bf16 base in f32; "bf16-all" has them in bf16 too: less exact
# than Lorikeet, which keeps them in f32, but it spares the peer its casts.
DTYPES = ("f32", "bf16", "bf16-all")
QUICK_DTYPES = ("f32", "bf16-all")
SPEED_BAR, MEMORY_BAR = 2.5, 1 / 3


def train_race(context):
    race = Race("train", "LoRA step, all linear layers, sequences of equal length", "tokens/s")
    race.settings = {"tokens_per_step": context.tokens, "sequence_length": context.length, "lora_r": context.rank,
                     "data": context.data}
    ids = str(context.folder / "ids.jsonl")
    task = {"model": context.model, "data": context.data, "ids": ids, "length": context.length + 1,
            "sequences": context.tokens // context.length}
    context.worker("worker_prepare.py", task)
    if context.quick:
        dtypes, threads = QUICK_DTYPES, context.cpus
    else:
        dtypes, threads = choose_peers(context, race, ids)
    context.peer_threads = threads

    ours = Entry("lorikeet sft", lambda: our_steps(context, ids))
    bench = Entry("lorikeet bench train", lambda: our_bench(context))
    peers = [peer_entry(context, ids, dtype, threads, context.steps) for dtype in dtypes]
    run_rounds([ours, *peers, bench], context.rounds)
    race.entries = [ours, bench, *peers]
    best = best_of(peers)
    race.compare(ours, best, SPEED_BAR, MEMORY_BAR)
    race.compare(bench, best, SPEED_BAR)
    for entry in peers:
        if entry is not best:
            race.compare(ours, entry)
    check_losses(context, race, ids, ours, peers)
    return race


def choose_peers(context, race, ids):
    """f32 and the better way of using bf16, at the thread count that is best for the faster of all."""
    print("  the peers' best dtype and thread setting, one try each", flush=True)
    counts = sorted({1, 2, context.cpus} & set(range(1, context.cpus + 1)))
    entries = {dtype: peer_entry(context, ids, dtype, context.cpus, 1) for dtype in DTYPES}
    best = fastest(entries.values())
    better_bf16 = max(DTYPES[1:], key=lambda dtype: entries[dtype].tried_rate())
    if not best:
        return ("f32", better_bf16), context.cpus
    dtype = next(name for name, entry in entries.items() if entry is best)
    by_threads = {n: peer_entry(context, ids, dtype, n, 1) for n in counts if n != context.cpus} | {context.cpus: best}
    fastest([entry for entry in by_threads.values() if entry is not best])
    threads = max(by_threads, key=lambda n: by_threads[n].tried_rate())
    race.notes.append(f"the peers' best thread setting among {counts}: {threads}; better bf16: {better_bf16}")
    return ("f32", better_bf16), threads


def peer_entry(context, ids, dtype, threads, steps):
    task = {"model": context.model, "ids": ids, "rank": context.rank, "dtype": dtype, "threads": threads,
            "learning_rate": LEARNING_RATE, "warmup": 1, "steps": steps}

    def run():
        result = context.worker("worker_train.py", task, threads, f"peft-{dtype}-{threads}")
        rate = result["tokens_per_step"] * steps / sum(result["step_seconds"])
        return result | {"rate": rate, "first_loss": result["losses"][0]}

    return Entry(f"transformers+peft {dtype}, {threads} threads", run)


def our_steps(context, ids):
    """On the very tokens that the peers get."""
    result = context.lorikeet.sft(
        ids, context.tokens // context.length, context.length + 1, context.rank, LEARNING_RATE, context.steps + 1
    )
    steps = result["all_steps"]
    return result | {"rate": step_rate(steps[1:], "tokens"), "first_loss": steps[0]["loss"]}


def our_bench(context):
    """On random tokens; the work is the same, and the utilisation is measured beside it."""
    result = context.lorikeet.bench_train(context.rank, context.tokens, context.length, 1, context.steps)
    return result | {"rate": result["tokens_per_second"]}


def check_losses(context, race, ids, ours, peers):
    """At the first step every B is zero, so that each contestant's loss is the base model's."""
    expected = context.lorikeet.mean_nll(ids, context.length + 1)
    race.settings["loss_lorikeet_f32"] = expected
    for entry in (ours, *peers):
        if entry.results:
            tolerance = F32_TOLERANCE if " f32," in entry.name else BF16_TOLERANCE
            race.check(f"first loss of {entry.name} | lorikeet eval, f32, same ids", entry.results[0]["first_loss"],
                       expected, tolerance)
