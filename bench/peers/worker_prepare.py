"""Writes the token ids of the training race: rows of equal length, cut from the conversations of a data file."""

import json

import transformers

import worker


def stream_of_ids(task):
    tokenizer = transformers.AutoTokenizer.from_pretrained(task["model"])
    for row in worker.read_jsonl(task["data"]):
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        yield from tokenizer(text, add_special_tokens=False)["input_ids"]


def prepare(task):
    needed = task["sequences"] * task["length"]
    ids = []
    for token in stream_of_ids(task):
        ids.append(token)
        if len(ids) == needed:
            break
    if len(ids) < needed:
        raise SystemExit(f"{task['data']} gives {len(ids)} tokens, {needed} are needed")
    with open(task["ids"], "w", encoding="utf-8") as out:
        for begin in range(0, needed, task["length"]):
            out.write(json.dumps({"tokens": ids[begin : begin + task["length"]]}) + "\n")
    return {"tokens": needed}


if __name__ == "__main__":
    worker.run(prepare)
