"""The conversations that chat_template_goldens.py renders with every real template."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather at a place.\nNeeds \"city\" & <country>.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "City, e.g. São Paulo"},
                    "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
                    "days": {"type": "integer", "minimum": 1},
                    "where": {
                        "type": "object",
                        "properties": {"lat": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
                        "required": ["lat"],
                    },
                    "maybe": {"type": ["string", "null"], "nullable": True},
                },
                "required": ["city"],
            },
            "return": {"type": "string", "description": "A sentence"},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]

SYSTEM = {"role": "system", "content": "You are terse.\n\nAnswer in one line. "}
HELLO = {"role": "user", "content": "Hello, who are you?"}
REPLY = {"role": "assistant", "content": "A bird."}
UNICODE = {"role": "user", "content": "  Zażółć \U0001f99c «naïve»\u2028\t'quotes' \"double\" <b>&amp;</b> \\n 日本語\n\n"}
THINKING = {"role": "assistant", "content": "<think>\nIt asks\nfor a sum.\n</think>\n\nThe sum is 4.\n"}


def call(name, arguments, identifier):
    return {"type": "function", "id": identifier, "function": {"name": name, "arguments": arguments}}


def tool_turns(arguments_as_text):
    first = {"city": "Łódź", "days": 3, "where": {"lat": 51.75, "tags": ["a", "b"]}, "ok": True, "none": None}
    arguments = '{"city": "Łódź", "days": 3}' if arguments_as_text else first
    second = "{}" if arguments_as_text else {}
    return [
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call("get_weather", arguments, "abcdef123")]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": '{"temp": 21.5, "text": "süß"}'},
        {"role": "assistant", "content": "It is 21.5."},
        {"role": "user", "content": "And the time?"},
        {"role": "assistant", "content": None, "tool_calls": [call("now", second, "bcdefg234")]},
        {"role": "tool", "name": "now", "tool_call_id": "bcdefg234", "content": "12:00"},
    ]


def conversations():
    def case(name, messages, **rest):
        return {"name": name, "messages": messages, **rest}

    yield case("user", [HELLO])
    yield case("user, prompt", [HELLO], add_generation_prompt=True)
    yield case("system, user, prompt", [SYSTEM, HELLO], add_generation_prompt=True)
    yield case("one turn", [HELLO, REPLY])
    yield case("system, turns", [SYSTEM, HELLO, REPLY, UNICODE, {"role": "assistant", "content": " Tak.\n"}])
    yield case("turns, prompt", [HELLO, REPLY, UNICODE], add_generation_prompt=True)
    yield case("thinking in content", [HELLO, THINKING, {"role": "user", "content": "Sure?"}, THINKING])
    reasoned = {"role": "assistant", "content": "Four.", "reasoning_content": "2 + 2\nmake 4"}
    yield case("reasoning", [HELLO, reasoned])
    yield case("reasoning, prompt", [HELLO, reasoned, HELLO], add_generation_prompt=True)
    yield case("old name of reasoning", [HELLO, {"role": "assistant", "content": "Four.", "thinking": "2 + 2"}])
    for flag in (False, True):
        yield case(f"enable_thinking {flag}", [SYSTEM, HELLO], add_generation_prompt=True,
                   variables={"enable_thinking": flag, "thinking": flag})
    yield case("reasoning effort", [HELLO], add_generation_prompt=True,
               variables={"reasoning_effort": "high", "model_identity": "I am a parrot."})
    yield case("tools, prompt", [SYSTEM, HELLO], tools=TOOLS, add_generation_prompt=True)
    yield case("tools without system", [HELLO], tools=TOOLS)
    yield case("tool calls", tool_turns(False), tools=TOOLS, add_generation_prompt=True)
    yield case("tool calls, closed", tool_turns(False) + [REPLY], tools=TOOLS)
    yield case("tool calls as text", tool_turns(True), tools=TOOLS, add_generation_prompt=True)
    yield case("tool calls, no tools given", tool_turns(False))
    yield case("first tool call only", tool_turns(False)[:3], tools=TOOLS, add_generation_prompt=True)
    parts = [{"type": "text", "text": "Part one."}, {"type": "text", "text": "Part two. "}]
    yield case("parts", [{"role": "user", "content": parts}, REPLY])
    yield case("image part", [{"role": "user", "content": [{"type": "image"}, *parts]}], add_generation_prompt=True)
    yield case("two users", [HELLO, HELLO])
    yield case("assistant first", [REPLY, HELLO])
    yield case("developer", [{"role": "developer", "content": "Be kind."}, HELLO], add_generation_prompt=True)
    yield case("unknown role", [{"role": "critic", "content": "Bad."}, HELLO])
    yield case("named speakers", [dict(HELLO, name="Ann"), dict(REPLY, name="Bob")])
    yield case("empty content", [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""}])
    yield case("no messages", [])
    yield case("date given", [HELLO], variables={"date_string": "26 Jul 2024"}, add_generation_prompt=True)
