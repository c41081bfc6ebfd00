#!/usr/bin/env python3
"""Goldens for values of tokenizer.ggml.pre: the pieces into which `tokenizers` cuts texts by the patterns of the models'
own tokenizer files: tests/golden/tokenizer/pre_kinds.json. Needs: tokenizers.
"""
import json
import os

from tokenizers import Regex, pre_tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}%s]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}%s]"


def words(numbers, ends="[\r\n]*"):
    return rf"{SHORT}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}| ?[^\s\p{{L}}\p{{N}}]+{ends}|{TAIL}"


def cased(numbers, ends, but=""):
    upper, lower, first = UPPER % but, LOWER % but, r"[^\r\n\p{L}\p{N}]?"
    return (rf"{first}{upper}*{lower}+{SHORT}?|{first}{upper}+{lower}*{SHORT}?|{numbers}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+{ends}|{TAIL}")


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SCRIPTS = "[一-龥\u3040-ゟ゠-ヿ]+"
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+""")
LINES = r"[^\n]+|[\n]+"
KINDS = {
    "exaone4": [GPT2],
    "granite-docling": [GPT2],
    "minicpm5": [r"\p{N}{1,3}", words(r"\p{N}+")],
    "seed-coder": [rf"{SHORT}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{TAIL}"],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + SCRIPTS, cased(r"\p{N}", r"[\r\n/]*")],
    "spark2_5": [r"\p{N}{1,3}", SCRIPTS, DEEPSEEK + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"],
    "hy_v4": [r"\p{N}{1,3}", SCRIPTS, DEEPSEEK + r"[\r\n]*|" + TAIL],
    "laguna": [LINES, words(r"\p{N}")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", cased(r"\p{N}{1,3}", r"[\r\n/]*")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"\p{N}{1,3}", r"[\r\n]*", r"&&[^\p{Han}]")],
    "gemma4": [LINES],
}
TEXTS = [
    "Hello world, it's WE'LL you'd", "helloWorld getUserName iPhone HTTPServer ABC", "1 12 123 1234 12345 1234567 3.14 1,000,000",
    "  two  spaces\tand\ttabs \n\n lines\r\nmore\n\n\n end ", "path/to/file //\n comment /* x */\n/n", "日本語のテキスト。中文字符，测试！ABC日本",
    "한국어 ㄱㄴ 각각 ㄅㄆ “引用”——…、", "naïve café e\u0301a\u0308 Ünïcode ÉCOLE", "Привет Мир ЁЛКА مرحبا ١٢٣٤٥ हिन्दी",
    "x=y+z; a_b $5 #tag @me 🙂👍🏽 ½ Ⅷ", "1234abc5678 v1.2.3-rc4 0x1F", "\n", "\n\n\nx\n", " ", "…", "don't DON'T 's 'S",
]


def main():
    out = {"texts": TEXTS, "pieces": {}}
    for name, patterns in KINDS.items():
        split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
        out["pieces"][name] = [[piece for piece, _ in split.pre_tokenize_str(text)] for text in TEXTS]
    path = os.path.join(ROOT, "tests", "golden", "tokenizer", "pre_kinds.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
