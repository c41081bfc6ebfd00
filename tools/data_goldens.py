#!/usr/bin/env python3
"""Writes what `transformers` makes of rows of data, for src/data/dataset_files_test.cc to compare: tests/golden/data.

  tokenizer.json   a byte-level tokenizer of 336 tokens
  rendering.json   [{"name", "templates": TEXT or {NAME: TEXT}, "row", "text"}]: apply_chat_template of the row's
                   messages and tools; arguments of tool calls that are a string of JSON are given as the object
  marks.json       [{"name", "template", "row", "ids", "mask"}]: return_assistant_tokens_mask

With folders of *.jinja files (those of trl, for instance), it writes the same of these templates, not committed, to
$LORIKEET_ROW_GOLDENS (default out/row_goldens).
"""

import copy
import datetime
import json
import os
import pathlib
import sys

import transformers.utils.chat_template_utils as ctu
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/data"

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for p in m['content'] %}{% if p['type'] == 'text' %}"
    "{{ p['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAVA = (
    "{% for m in messages %}{{ m['role'].upper() }}: {% for p in m['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% if m['role'] == 'assistant' %}{{ ' ' + p.text }}</s>{% else %}{{ p['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
EITHER = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for p in m['content'] %}[{{ p['text'] }}]{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WALK = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] or '' }}{% for c in m.tool_calls or [] %}"
    "<function={{ c.function.name }}>{% for k, v in c.function.arguments|items %}\n<parameter={{ k }}>{{ v }}"
    "</parameter>{% endfor %}\n</function>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in Qwen 2.5 and Hermes: the call as JSON.
JSON_CALLS = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content %}{{ m.content }}{% endif %}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
    "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in DeepSeek V3: arguments are joined to text, so they must be text.
TEXT_CALLS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
    "{{ '<call>' + c['function']['name'] + '\n' + c['function']['arguments'] + '</call>' }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As in Qwen 3: reasoning in its own key.
REASONS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n"
    "{{ (m.reasoning_content or '').strip() }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def call(name, arguments):
    return {"id": "call00001", "type": "function", "function": {"name": name, "arguments": arguments}}


TOOLS = [{"type": "function", "function": {"name": "multiply", "description": "Product", "parameters": {"type": "object"}}}]
ASK = {"role": "user", "content": "3*4?"}


def tool_row(arguments, content=""):
    messages = [ASK, {"role": "assistant", "content": content, "tool_calls": [call("multiply", arguments)]},
                {"role": "tool", "content": "12"}, {"role": "assistant", "content": "It is 12."}]
    return {"messages": messages, "tools": TOOLS}


def text_parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


OBJECT = {"a": 3, "b": [4.5, None, True], "c": {"d": "é \"q\"\n"}}
PARTS_ROW = {"messages": [{"role": "user", "content": text_parts("What is", " 2+2?")},
                          {"role": "assistant", "content": text_parts("It is 4.")}]}
TURNS = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello you."},
                      {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "four \U0001f99c it is"}]}


def rendering_cases():
    yield "parts", PARTS, PARTS_ROW
    yield "parts, filtered", LLAVA, PARTS_ROW
    yield "parts or text: parts", EITHER, PARTS_ROW
    yield "parts or text: text", EITHER, TURNS
    for name, template in [("walk", WALK), ("json", JSON_CALLS)]:
        yield f"{name}: object", template, tool_row(OBJECT)
        yield f"{name}: text", template, tool_row(json.dumps(OBJECT))
        yield f"{name}: compact text", template, tool_row(json.dumps(OBJECT, separators=(",", ":"), ensure_ascii=False))
        yield f"{name}: no content", template, tool_row({"a": 1}, None)
    yield "calls as text", TEXT_CALLS, tool_row('{"a": 3}')
    yield "null keys", REASONS, {"messages": [dict(ASK, name=None, tool_calls=None),
                                              {"role": "assistant", "content": "12", "reasoning_content": None}]}
    yield "thinking", REASONS, {"messages": [ASK, {"role": "assistant", "content": "12", "thinking": "3 times 4"}]}
    named = {"default": CHATML, "tool_use": JSON_CALLS, "rag": "R"}
    yield "named: tools", named, tool_row(OBJECT)
    yield "named: no tools", named, TURNS


MARKED = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}{% generation %}"
    "{{ m['content'] }}<|im_end|>{% endgeneration %}\n{% else %}{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
)
ANSWER_ONLY = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
    "{{ m['content'].split('</think>')[0] + '</think>' }}{% generation %}{{ m['content'].split('</think>')[1] }}"
    "<|im_end|>{% endgeneration %}\n{% else %}{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
)
# Begins within a token: "hello" has its mark before "llo".
WITHIN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}{{ m['content'][:2] }}"
    "{% generation %}{{ m['content'][2:] }}{% endgeneration %}<|im_end|>\n{% else %}{{ m['content'] }}<|im_end|>\n"
    "{% endif %}{% endfor %}"
)
LINE_END = MARKED.replace("<|im_end|>{% endgeneration %}\n", "<|im_end|>\n{% endgeneration %}")


def marks_cases():
    thought = {"messages": [{"role": "user", "content": "2+2?"},
                            {"role": "assistant", "content": "<think>two and two</think>4"}]}
    yield "turns", MARKED, TURNS
    yield "line end", LINE_END, TURNS
    yield "answer only", ANSWER_ONLY, thought
    yield "within a token", WITHIN, {"messages": [{"role": "user", "content": "the question"},
                                                  {"role": "assistant", "content": "hello answer question"}]}


def make_tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.train_from_iterator(
        ["the quick brown fox jumps over the lazy dog", "what is the answer to this question",
         "assistant user system hello world"] * 50,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"]))
    return tok


def with_objects(messages):
    messages = copy.deepcopy(messages)
    for message in messages:
        for one in message.get("tool_calls") or []:
            if isinstance(one["function"]["arguments"], str):
                one["function"]["arguments"] = json.loads(one["function"]["arguments"])
    return messages


def write(name, records):
    text = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    (OUT / name).write_text(f"[\n{text}\n]\n", encoding="utf-8")


def real_rows():
    yield "turns", TURNS
    yield "parts", PARTS_ROW
    yield "reasoning", {"messages": [ASK, {"role": "assistant", "content": "12", "reasoning_content": "3 times 4"}]}
    yield "object", tool_row(OBJECT)
    yield "text", tool_row(json.dumps(OBJECT))
    yield "no content", tool_row({"a": 1}, None)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5)


def has_words(text, row):
    """Whether transformers writes the words, and not lists as Python prints them."""
    words = [part for message in row["messages"] for part in
             ([p["text"] for p in message["content"]] if isinstance(message["content"], list) else [message["content"]])]
    return "'type'" not in text and '"text": ' not in text and all((word or "").strip() in text for word in words)


def write_real(hf, folders):
    ctu.datetime = FixedClock
    rendering, marks = [], []
    for path in sorted(path for folder in folders for path in pathlib.Path(folder).glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        for name, row in real_rows():
            record = {"name": f"{path.stem}: {name}", "templates": template, "row": row}
            for messages in (with_objects(row["messages"]), row["messages"]):
                try:
                    record["text"] = hf.apply_chat_template(messages, tools=row.get("tools"), chat_template=template,
                                                            tokenize=False)
                    break
                except Exception as error:  # the template's own
                    record["error"] = str(error)
            if "text" in record and has_words(record["text"], row):
                rendering.append(record)
        if "{% generation %}" not in template and "{%- generation %}" not in template:
            continue
        for row in (TURNS, PARTS_ROW):
            try:
                out = hf.apply_chat_template(row["messages"], chat_template=template, return_dict=True,
                                             return_assistant_tokens_mask=True)
            except Exception:  # a template that reads another form of content
                continue
            if not has_words(hf.decode(out["input_ids"]), row):
                continue
            marks.append({"name": path.stem, "template": template, "row": row, "ids": out["input_ids"],
                          "mask": out["assistant_masks"]})
    write("rendering.json", rendering)
    write("marks.json", marks)


def main():
    global OUT
    tok = make_tokenizer()
    hf = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<s>", eos_token="<|im_end|>")
    if len(sys.argv) > 1:
        OUT = pathlib.Path(os.environ.get("LORIKEET_ROW_GOLDENS", OUT.parent.parent.parent / "out/row_goldens"))
        OUT.mkdir(parents=True, exist_ok=True)
        return write_real(hf, sys.argv[1:])
    OUT.mkdir(parents=True, exist_ok=True)
    tok.save(str(OUT / "tokenizer.json"), pretty=False)
    records = []
    for name, templates, row in rendering_cases():
        hf.chat_template = templates
        messages = row["messages"] if templates == TEXT_CALLS else with_objects(row["messages"])
        text = hf.apply_chat_template(messages, tools=row.get("tools"), tokenize=False)
        records.append({"name": name, "templates": templates, "row": row, "text": text})
    write("rendering.json", records)
    records = []
    for name, template, row in marks_cases():
        out = hf.apply_chat_template(row["messages"], chat_template=template, return_assistant_tokens_mask=True,
                                     return_dict=True)
        records.append({"name": name, "template": template, "row": row, "ids": out["input_ids"],
                        "mask": out["assistant_masks"]})
    write("marks.json", records)


if __name__ == "__main__":
    main()
