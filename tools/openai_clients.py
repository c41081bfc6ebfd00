#!/usr/bin/env python3
"""Drives `lorikeet serve` with the official client of the OpenAI API, and checks what comes back.

    python3 -m venv venv && venv/bin/pip install openai
    venv/bin/python tools/openai_clients.py LORIKEET MODEL [ADAPTER]

LORIKEET is the program, MODEL a model folder with a chat template, ADAPTER an adapter of it. A server is started on a
free port and stopped at the end. Exit status 1 if a check failed.
"""
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import openai

failures = 0


def check(name, good, detail=""):
    global failures
    failures += not good
    print(f"{'ok    ' if good else 'FAILED'} {name}{'' if good else ': ' + str(detail)}", flush=True)


class Server:
    """`lorikeet serve` in a process of its own."""

    def __init__(self, program, model, *options):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen([program, "serve", model, "--port", "0", *options], stderr=self.log)
        self.url = self.wait_for_url()

    def wait_for_url(self):
        for _ in range(600):
            found = re.search(r"at (https?://\S+)/v1, ready in (\S+) s", open(self.log.name).read())
            if found:
                self.ready = float(found.group(2))
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit("the server did not start:\n" + open(self.log.name).read())

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


def get(url):
    return urllib.request.urlopen(url).read().decode()


def check_models(client, server, adapter):
    models = [model.id for model in client.models.list()]
    check("models lists the base and the adapter", len(models) == 1 + bool(adapter), models)
    check("a model can be retrieved", client.models.retrieve(models[0]).id == models[0])
    check("/health", json.loads(get(server.url + "/health"))["status"] == "ok")
    check("/metrics", "lorikeet_generated_tokens_total" in get(server.url + "/metrics"))
    return models


def check_completions(client, model):
    plain = dict(model=model, prompt="The capital of France is", max_tokens=8, temperature=0)
    answer = client.completions.create(**plain)
    check("completion", len(answer.choices[0].text) > 0 and answer.usage.completion_tokens <= 8, answer)
    again = client.completions.create(**plain)
    check("the same request has the same answer", again.choices[0].text == answer.choices[0].text)
    pieces = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **plain))
    text = "".join(p.choices[0].text for p in pieces if p.choices)
    check("a stream has the same text", text == answer.choices[0].text, (text, answer.choices[0].text))
    usage = pieces[-1].usage
    check("and usage last", pieces[-1].choices == [] and usage.total_tokens == answer.usage.total_tokens, pieces[-1])

    several = client.completions.create(model=model, prompt=["One two", "A B C"], n=2, max_tokens=4, seed=5, temperature=1)
    check("prompts and n", [c.index for c in several.choices] == [0, 1, 2, 3], several)
    seeded = client.completions.create(model=model, prompt=["One two", "A B C"], n=2, max_tokens=4, seed=5, temperature=1)
    check("a seed repeats", [c.text for c in several.choices] == [c.text for c in seeded.choices])

    scored = client.completions.create(model=model, prompt="The capital of France is Paris", max_tokens=1, echo=True,
                                       logprobs=1, temperature=0)
    logprobs = scored.choices[0].logprobs
    check("echo scores the prompt", logprobs.token_logprobs[0] is None and len(logprobs.tokens) >= 7, logprobs)
    check("its tokens are its text", "".join(logprobs.tokens).startswith("The capital of France is Paris"), logprobs.tokens)
    best = [max(top.values()) for top in logprobs.top_logprobs[1:]]
    check("the best token is listed", all(b >= l for b, l in zip(best, logprobs.token_logprobs[1:])), logprobs)
    only = client.completions.create(model=model, prompt="The capital of France is Paris", max_tokens=0, echo=True,
                                     logprobs=1)
    check("max_tokens 0 scores alone", only.choices[0].logprobs.token_logprobs == logprobs.token_logprobs[:-1])
    stopped = client.completions.create(model=model, prompt="1, 2, 3, 4,", max_tokens=30, temperature=0, stop=["8", None])
    check("stop", stopped.choices[0].finish_reason == "stop" and "8" not in stopped.choices[0].text, stopped)


def check_chat(client, model):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]
    answer = client.chat.completions.create(model=model, messages=messages, max_completion_tokens=24, temperature=0)
    text = answer.choices[0].message.content
    check("chat", len(text) > 0, answer)
    pieces = list(client.chat.completions.create(model=model, messages=messages, max_tokens=24, temperature=0, stream=True))
    check("a streamed chat has the same text", "".join(p.choices[0].delta.content or "" for p in pieces) == text)
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
    client.chat.completions.create(model=model, messages=parts, max_tokens=4)
    scored = client.chat.completions.create(model=model, messages=messages, max_tokens=6, temperature=0, logprobs=True,
                                            top_logprobs=3)
    content = scored.choices[0].logprobs.content
    check("chat logprobs", all(len(t.top_logprobs) == 3 and t.logprob == t.top_logprobs[0].logprob for t in content), content)
    check("their bytes are the text", b"".join(bytes(t.bytes) for t in content).startswith(
        scored.choices[0].message.content.encode()), content)


def check_json(client, model):
    messages = [{"role": "user", "content": "Describe a parrot as JSON."}]
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer",
              "minimum": 0, "maximum": 99}, "colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]},
              "maxItems": 3}}, "required": ["name", "age", "colours"], "additionalProperties": False}
    for seed in range(3):
        answer = client.chat.completions.create(
            model=model, messages=messages, max_tokens=200, temperature=1, seed=seed,
            response_format={"type": "json_schema", "json_schema": {"name": "parrot", "schema": schema, "strict": True}})
        try:
            value = json.loads(answer.choices[0].message.content)
            good = set(value) == {"name", "age", "colours"} and 0 <= value["age"] <= 99 and len(value["colours"]) <= 3
        except (ValueError, KeyError, TypeError):
            good = False
        check(f"json_schema, seed {seed}", good, answer.choices[0])
    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=400, temperature=0,
                                            response_format={"type": "json_object"})
    if answer.choices[0].finish_reason == "stop":
        check("json_object", isinstance(json.loads(answer.choices[0].message.content), dict), answer)


def check_errors(client, model):
    def status(**request):
        try:
            client.completions.create(**{"model": model, "prompt": "x", "max_tokens": 1, **request})
        except openai.APIStatusError as error:
            return error
        return None

    error = status(model="nobody")
    check("an unknown model is 404", isinstance(error, openai.NotFoundError) and error.param == "model", error)
    error = status(prompt="x " * 200000)
    check("a prompt that is too long is named", error is not None and error.code == "context_length_exceeded", error)
    for name, value in [("repetition_penalty", 1.2), ("presence_penalty", 1), ("wishes", 3)]:
        error = status(extra_body={name: value})
        check(f"{name} is refused by name", error is not None and error.status_code == 400 and name in str(error), error)


def check_fine_tuning(client, base):
    rows = [{"messages": [{"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": word.upper()}]}
            for word in "red green blue one two three cat dog".split()]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    uploaded = client.files.create(file=("rows.jsonl", data), purpose="fine-tune")
    check("a file is uploaded", uploaded.bytes == len(data) and client.files.content(uploaded.id).read() == data, uploaded)
    job = client.fine_tuning.jobs.create(
        model=base, training_file=uploaded.id, suffix="upper", seed=1,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4}}})
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.2)
        job = client.fine_tuning.jobs.retrieve(job.id)
    check("a fine-tuning job succeeds", job.status == "succeeded", job)
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=2))  # pages of two
    check("its events come in pages", any("training loss" in event.message for event in events), events)
    check("it has a checkpoint", len(list(client.fine_tuning.jobs.checkpoints.list(job.id))) >= 1)
    answer = client.chat.completions.create(model=job.fine_tuned_model, max_tokens=4, temperature=0,
                                            messages=[{"role": "user", "content": "Say red."}])
    check("its model answers", answer.model == job.fine_tuned_model, answer)
    csv = client.files.content(job.result_files[0]).read().decode()
    check("its result file has a line per step", len(csv.splitlines()) >= 5, csv)
    check("the job is listed", client.fine_tuning.jobs.list().data[0].id == job.id)
    check("the file is deleted", client.files.delete(uploaded.id).deleted)
    try:
        client.fine_tuning.jobs.create(model=base, training_file="file-none")
        check("an unknown file is refused", False)
    except openai.BadRequestError as error:
        check("an unknown file is refused", error.param == "training_file", error)


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    program, model, adapter = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    state = tempfile.TemporaryDirectory()
    server = Server(program, model, "--state-dir", state.name, *(["--adapter", "mine=" + adapter] if adapter else []))
    print(f"ready in {server.ready} s")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    for name in check_models(client, server, adapter):
        print(f"-- {name}")
        check_completions(client, name)
        check_chat(client, name)
        check_json(client, name)
    check_fine_tuning(client, client.models.list().data[0].id)
    check_errors(client, "mine" if adapter else client.models.list().data[0].id)
    check("SIGTERM ends it with 143", server.stop() == 143, server.process.returncode)
    print(f"{failures} failed" if failures else "all passed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
