"""Chats of more than one turn, and so of many lengths, from a file of single questions and answers."""

import itertools
import json

# Rows joined into one conversation, in turn: short conversations are common, long ones rare.
ROWS = (1, 2, 1, 4, 1, 2, 1, 8)


def join_rows(source, target):
    with open(source, encoding="utf-8") as file, open(target, "w", encoding="utf-8") as out:
        rows = (json.loads(line)["messages"] for line in file if line.strip())
        for count in itertools.cycle(ROWS):
            messages = list(itertools.chain.from_iterable(itertools.islice(rows, count)))
            if not messages:
                return
            out.write(json.dumps({"messages": messages}) + "\n")
