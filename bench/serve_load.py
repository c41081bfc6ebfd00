#!/usr/bin/env python3
"""Load on a running server of the OpenAI API, over loopback: tokens per second and time to the first token.

    bench/serve_load.py URL --models A,B,... [--clients 1,8,32,64] [--requests 2] [--max-tokens 64] [--prompt-tokens 200]

Each client sends its requests one after another, streamed, for the models in turn. Prints one line for each number of
clients: generated tokens per second of all together, and the 50th and 95th percentile of the time to the first token.
Needs nothing but Python.
"""
import argparse
import http.client
import json
import statistics
import threading
import time
import urllib.parse

WORDS = "time person year way day thing man world life hand part child eye woman place work week case point company number".split()


def prompt_of(length, key):
    return " ".join(WORDS[(key * 7 + i * (key % 5 + 1)) % len(WORDS)] for i in range(length))


def run_client(url, models, index, args, start, results):
    parts = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=600)
    start.wait()
    for i in range(args.requests):
        body = {"model": models[(index + i) % len(models)], "prompt": prompt_of(args.prompt_tokens, index * 1000 + i),
                "max_tokens": args.max_tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                "stream_options": {"include_usage": True}}
        begin = time.perf_counter()
        connection.request("POST", parts.path.rstrip("/") + "/completions", json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}: {answer.read().decode()}")
        first, tokens = None, 0
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if chunk["choices"] and first is None:
                first = time.perf_counter() - begin
            if chunk.get("usage"):
                tokens = chunk["usage"]["completion_tokens"]
        results.append((first, tokens))
    connection.close()


def measure(url, models, clients, args):
    start, results = threading.Event(), []
    threads = [threading.Thread(target=run_client, args=(url, models, i, args, start, results)) for i in range(clients)]
    for thread in threads:
        thread.start()
    begin = time.perf_counter()
    start.set()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    firsts = sorted(first for first, _ in results)
    tokens = sum(count for _, count in results)
    p95 = firsts[min(len(firsts) - 1, int(len(firsts) * 0.95))]
    return {"clients": clients, "models": len(models), "tokens_per_second": round(tokens / seconds, 1),
            "first_token_p50": round(statistics.median(firsts), 3), "first_token_p95": round(p95, 3),
            "requests": len(results), "seconds": round(seconds, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="such as http://127.0.0.1:8000/v1")
    parser.add_argument("--models", required=True, help="names, with commas between; clients take them in turn")
    parser.add_argument("--clients", default="1,8,32,64")
    parser.add_argument("--requests", type=int, default=2, help="of each client")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=200)
    args = parser.parse_args()
    for clients in map(int, args.clients.split(",")):
        print(json.dumps(measure(args.url, args.models.split(","), clients, args)), flush=True)


if __name__ == "__main__":
    main()
