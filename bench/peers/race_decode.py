"""Greedy decoding after a prompt: lorikeet bench decode against transformers' generate."""

from peers.race import Entry, Race, best_of, run_rounds

DTYPES = ("f32", "bf16")
BARS = {32: 4}  # by batch


def decode_race(context, batch):
    sequences = "1 sequence" if batch == 1 else f"{batch} sequences"
    race = Race(f"decode-{batch}", f"greedy decoding, {sequences} at once", "tokens/s")
    race.settings = {"batch": batch, "prompt_tokens": context.prompt_tokens, "new_tokens": context.new_tokens}
    ours, peers = our_entry(context, batch), [peer_entry(context, batch, dtype) for dtype in DTYPES]
    race.entries = [ours, *peers]
    run_rounds(race.entries, context.rounds)
    race.compare(ours, best_of(peers), BARS.get(batch))
    if ours.results:
        share = 100 * ours.median("bandwidth_utilization")
        race.notes.append(f"lorikeet reads its weights at {share:.0f} % of the read bandwidth measured beside it")
    return race


def our_entry(context, batch):
    def run():
        result = context.lorikeet.bench_decode(batch, context.prompt_tokens, context.new_tokens)
        return result | {"rate": result["tokens_per_second"]}

    return Entry("lorikeet bench decode", run)


def peer_entry(context, batch, dtype):
    threads = context.peer_threads or context.cpus
    task = {"model": context.model, "dtype": dtype, "batch": batch, "threads": threads,
            "prompt_tokens": context.prompt_tokens, "new_tokens": context.new_tokens}

    def run():
        result = context.worker("worker_decode.py", task, threads, f"generate-{dtype}-{batch}")
        return result | {"rate": result["tokens_per_second"]}

    return Entry(f"transformers generate {dtype}, {threads} threads", run)
