#!/usr/bin/env python3
"""Goldens for src/tokenizer, written by the `tokenizers` package.

  tokenizer_goldens.py fixtures              the small committed files under tests/golden/tokenizer/
  tokenizer_goldens.py corpus DIR SOURCE...  a mixed corpus of more than 1 MB and its ids by real tokenizers;
                                             SOURCE: tokenizer.json and GGUF files, SentencePiece models
  tokenizer_goldens.py speed TOKENIZER.json  MB/s of `tokenizers` on 10 MB of English, one thread; the same text
                                             goes to DIR/english.bin with --out DIR

The corpus serves the test SlowTokenizerCorpus (environment LORIKEET_TOKENIZER_CORPUS=DIR). GGUF files and
SentencePiece models are written as NAME.gguf.json, which holds their metadata: the test makes NAME.json of
it, and a second run of this tool then writes what `tokenizers` makes of that file.
Needs: tokenizers, and for corpus gguf and sentencepiece.
"""
import argparse
import glob
import json
import os
import random
import struct
import sys
import time
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "tokenizer")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SNIPPETS = [
    "", " ", "a", "Hello world", "  Hello,  world!  ", "It's we'll they'VE I'm you'd he'S 'sun' ''ll 'ſ",
    "line one\nline two\r\n\r\n\tindented\n\n\n", "def f(x):\n    return x ** 2  # square\n", "1 12 123 1234 12345 3.14 1,000,000",
    "naïve café résumé", "e\u0301 a\u0308 \u212b \ufb01 ① ½ ² Ⅷ", "日本語のテキスト。 中文字符，测试！", "Привет, мир! Ёлка",
    "مرحبا بالعالم ١٢٣", "हिन्दी में पाठ", "ไทยภาษา", "한국어 각 각", "😀👍🏽 👨‍👩‍👧‍👦 🇫🇷", "\u00a0\u2003\u3000 wide\u2028spaces\u180e",
    "\x00\x01\x7f control", "tab\there  two   three    four", "<s>special</s> <|im_start|>user\nHi<|im_end|>\n",
    "snake_case CamelCase kebab-case x=y+z; /* c */ `q` $5 #tag @me", "▁already ▁▁marked▁", "https://example.org/a?b=c&d=%20",
    "a" * 100, " " * 50 + "x", "\n" * 9 + "x", "!?!?...---===", "\ufffd replacement", "word<mask>word <mask> word", "ＡＢＣ １２３ ｶﾞ",
    "mixed 123abc456 def789 ٣٤", " leading", "trailing ", "x\u0301\u0302y", "ǅ ǆ İ ß ς Σ",
]


def byte_offsets(text, offsets):
    starts = [0]
    for c in text:
        starts.append(starts[-1] + len(c.encode("utf-8")))
    return [[starts[a] for a, _ in offsets], [starts[b] for _, b in offsets]]


def expectation(tokenizer, text):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    begin, end = byte_offsets(text, encoding.offsets)
    special = tokenizer.encode(text, add_special_tokens=True).ids
    return {"ids": encoding.ids, "begin": begin, "end": end, "special": special,
            "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
            "skipped": tokenizer.decode(encoding.ids, skip_special_tokens=True)}


def training_text():
    """Local text for the small vocabularies."""
    lines = []
    for path in sorted(glob.glob("/usr/share/wordnet/data.*")):
        with open(path, encoding="utf-8", errors="replace") as f:
            lines += [line.split("|", 1)[1].strip() for line in f if "|" in line][:4000]
    with open(json.__file__, encoding="utf-8") as f:
        lines += f.read().split("\n\n")
    return lines + SNIPPETS * 20


def byte_level(name):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name in ("gpt2", "smollm"))
    steps = []
    if name == "llama3":
        steps.append(pre_tokenizers.Split(Regex(LLAMA3), "isolated"))
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        steps.append(pre_tokenizers.Split(Regex(QWEN2), "isolated"))
    if name == "smollm":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps + [last]) if steps else last
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=1000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "</s>", "<|im_start|>", "<|im_end|>"]))
    if name == "llama3":
        bos = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", bos)])
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=name == "gpt2", normalized=False)])
    return tokenizer


def sentence_piece(name):
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    # Training needs words; the finished file splits text as the model families do.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=1200, limit_alphabet=120, special_tokens=special, show_progress=False))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["id"] < 3]
    fallback = [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    if name == "llama2":
        data["normalizer"] = {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        data["pre_tokenizer"] = None
    else:
        data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    data["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}] + fallback}
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> <s> $B </s>", [("<s>", 1), ("</s>", 2)])
    return tokenizer


def variants():
    """One small vocabulary, with each kind of step in turn."""
    chars = [chr(c) for c in range(32, 127)] + list("éa\u0301\u0308▁Яя日本語ſi\u0307")
    vocab = {}
    for token in ["<unk>"] + chars + ["he", "ll", "hell", "hello", " t", "▁t", "th", "the", "12", "123", "\n", "\t"]:
        vocab.setdefault(token, len(vocab))
    merges = [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"], [" ", "t"], ["▁", "t"], ["t", "h"], ["th", "e"],
              ["1", "2"], ["12", "3"]]
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}}

    def split(pattern, behavior, invert):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}

    def added(content, **flags):
        return {"id": len(vocab), "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": False, **flags}

    pre, norm, dec, more = [], [], [], []
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            pre.append(split({"Regex": r"\s|l"}, behavior, invert))
            pre.append(split({"String": "l"}, behavior, invert))
        pre.append({"type": "Punctuation", "behavior": behavior})
    for regex in (LLAMA3, r"\w+", r"[^\w\s]+", r"\b", r"\h+", r"^.|.$", r"\p{N}{2}+", r"(?=\d)|$", r"\p{Han}+",
                  r"[[:punct:]]+", r"(l)\1", r"(?<a>l)l", r"\p{^L}", r"x{,2}l"):
        pre.append(split({"Regex": regex}, "Isolated", False))
    pre += [{"type": "Digits", "individual_digits": b} for b in (False, True)]
    pre += [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}]
    pre += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": b}
            for s in ("always", "first", "never") for b in (False, True)]
    pre.append({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True},
                                                      {"type": "Punctuation", "behavior": "Isolated"}]})
    norm += [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")]
    norm += [{"type": "Strip", "strip_left": a, "strip_right": b} for a, b in ((True, False), (False, True), (True, True))]
    norm += [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
             {"type": "Replace", "pattern": {"String": "ll"}, "content": "LLL"},
             {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "the "}]}]
    dec += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": True} for s in ("always", "first", "never")]
    dec += [{"type": "Fuse"}, {"type": "Strip", "content": "h", "start": 1, "stop": 0},
            {"type": "Strip", "content": "o", "start": 0, "stop": 1},
            {"type": "Replace", "pattern": {"Regex": "[lh]"}, "content": "_"}, {"type": "ByteFallback"},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]
    for kinds in ({"special": True}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True},
                  {"single_word": True}, {"normalized": True}):
        more.append({"added_tokens": [added("<mask>", **kinds)]})
        more.append({"added_tokens": [added("HELLO", **kinds)], "normalizer": {"type": "Lowercase"}})
    for key, values in (("normalizer", norm), ("pre_tokenizer", pre), ("decoder", dec)):
        more += [{key: value} for value in values]
    more.append({"model": {**base["model"], "fuse_unk": True}})
    more.append({"model": {**base["model"], "unk_token": None}})
    texts = ["hello the 123 hello", "  Hello,\n\tthe  <mask> 12a! ", "x<mask>y hello<mask>", "日本語 é e\u0301 a\u0308 Яя ſ İ ½ ﬁ ǅ",
             "hello HELLO,HELLOx ▁the", "\u00a0the\u3000a_b-c ²³ ff 0x1F", "ab\n\ncd\n", "llll lxl", ""]
    return base, more, texts


def write_fixtures():
    os.makedirs(GOLDEN, exist_ok=True)

    def dump(name, value):
        with open(os.path.join(GOLDEN, name), "w", encoding="utf-8") as f:
            json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")

    cases = {"texts": SNIPPETS, "tokenizers": {}}
    made = {name: byte_level(name) for name in ("gpt2", "llama3", "qwen2", "smollm")}
    made |= {name: sentence_piece(name) for name in ("llama2", "mistral")}
    for name, tokenizer in made.items():
        dump(name + ".json", json.loads(tokenizer.to_str()))
        cases["tokenizers"][name] = [expectation(tokenizer, text) for text in SNIPPETS]
    dump("cases.json", cases)
    base, changes, texts = variants()
    out = {"base": base, "texts": texts, "variants": []}
    for change in changes:
        tokenizer = Tokenizer.from_str(json.dumps({**base, **change}))
        out["variants"].append({"change": change, "expected": [expectation(tokenizer, t) for t in texts]})
    dump("variants.json", out)


def mixed_corpus(rng):
    """Documents of code, prose, many scripts, emoji, odd white space, control characters."""
    docs = []
    for path in sorted(glob.glob("/usr/lib/python3*/*.py"))[:60]:
        with open(path, encoding="utf-8", errors="replace") as f:
            docs.append(f.read()[:12000])
    prose = training_text()
    docs += [" ".join(prose[i:i + 20]) for i in range(0, min(len(prose), 4000), 20)]
    # Characters assigned in Python's Unicode, without those newer than version 14.
    assigned = [chr(c) for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]
    blocks = [assigned[i:i + 128] for i in range(0, len(assigned), 128)]
    for block in blocks:
        docs.append("".join(rng.choice(block) + (" " if rng.random() < 0.15 else "") for _ in range(300)))
    emoji = [c for c in assigned if 0x1F300 <= ord(c) < 0x1FB00] + ["\u200d", "\ufe0f", "🏽"]
    odd = [" ", "  ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\x85", "\xa0", "\u2003", "\u2028", "\u3000", "\u180e", "\u200b", "\ufeff",
           "'s", "'S", "'ll", "'ſ", "'", "\"", "a", "Z", "é", "e\u0301", "1", "22", "333", "4444", "٣", "½", "_", "-", ".", "//", "日", "▁", "<s>",
           "</s>", "<|im_start|>", "<|endoftext|>", "\x00", "\x07", "\x1b", "\x7f", "\ufffd", "한", "글", "ไ", "हि"]
    for _ in range(150):
        docs.append("".join(rng.choice(emoji) for _ in range(200)))
        docs.append("".join(rng.choice(odd) for _ in range(1500)))
        docs.append("".join(rng.choice(assigned) for _ in range(400)))
    docs += ["x" * 20000, " " * 20000, "\n" * 5000, "ab" * 5000, "1" * 3000, " a" * 5000, ""]
    return docs


def write_records(path, records):
    with open(path, "wb") as f:
        for record in records:
            f.write(struct.pack("<I", len(record)))
            f.write(record)


def gguf_fields(path):
    import gguf
    reader = gguf.GGUFReader(path)

    def value(key, default):
        field = reader.fields.get(key)
        return default if field is None else field.contents()

    ggml = "tokenizer.ggml."
    return {"model": value(ggml + "model", ""), "pre": value(ggml + "pre", ""), "tokens": value(ggml + "tokens", []),
            "scores": value(ggml + "scores", []), "token_types": value(ggml + "token_type", []),
            "merges": value(ggml + "merges", []), "bos_id": value(ggml + "bos_token_id", -1),
            "eos_id": value(ggml + "eos_token_id", -1), "unk_id": value(ggml + "unknown_token_id", -1),
            "pad_id": value(ggml + "padding_token_id", -1), "add_bos": value(ggml + "add_bos_token", False),
            "add_eos": value(ggml + "add_eos_token", False), "add_space_prefix": value(ggml + "add_space_prefix", True),
            "chat_template": value("tokenizer.chat_template", "")}


def sentencepiece_fields(path):
    from sentencepiece import SentencePieceProcessor
    sp = SentencePieceProcessor(model_file=path)
    size = sp.vocab_size()
    kind = lambda i: 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 5 if sp.is_unused(i) else 1
    return {"model": "llama", "pre": "default", "tokens": [sp.id_to_piece(i) for i in range(size)],
            "scores": [sp.get_score(i) for i in range(size)], "token_types": [kind(i) for i in range(size)], "merges": [],
            "bos_id": sp.bos_id(), "eos_id": sp.eos_id(), "unk_id": sp.unk_id(), "pad_id": sp.pad_id(), "add_bos": True,
            "add_eos": False, "add_space_prefix": True, "chat_template": ""}


def name_of(path):
    stem = os.path.basename(path)
    parent = os.path.basename(os.path.dirname(path))
    stem = f"{parent}" if stem == "tokenizer.json" else stem.removesuffix(".gguf").removesuffix(".json")
    return stem.removeprefix("ggml-vocab-")


def write_corpus(folder, sources):
    os.makedirs(folder, exist_ok=True)
    docs = mixed_corpus(random.Random(7))
    raw = [doc.encode("utf-8") for doc in docs]
    write_records(os.path.join(folder, "corpus.bin"), raw)
    print(f"corpus: {len(docs)} documents, {sum(map(len, raw))} bytes")
    for source in sources:
        name = name_of(source)
        if source.endswith(".json"):
            with open(source, encoding="utf-8") as f, open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as g:
                g.write(f.read())
            continue
        fields = gguf_fields(source) if source.endswith(".gguf") else sentencepiece_fields(source)
        with open(os.path.join(folder, name + ".gguf.json"), "w", encoding="utf-8") as f:
            json.dump(fields, f)
        # Beside llama.cpp's vocabularies lie texts (.inp) and the ids they must give (.out).
        if os.path.exists(source + ".inp"):
            with open(source + ".inp", encoding="utf-8", newline="") as f, open(source + ".out", encoding="utf-8") as g:
                texts = f.read().split("\n__ggml_vocab_test__\n")
                ids = [[int(i) for i in line.split()] for line in g.read().split("\n")]
            cases = [{"text": t, "ids": i} for t, i in zip(texts, ids) if t]
            with open(os.path.join(folder, name + ".cases.json"), "w", encoding="utf-8") as f:
                json.dump(cases, f)
        elif not source.endswith(".gguf"):
            from sentencepiece import SentencePieceProcessor
            sp = SentencePieceProcessor(model_file=source)
            # Not comparable where SentencePiece itself would normalize white space.
            plain = [t for t in SNIPPETS + training_text()[:2000] if t and sp.normalize(t) == "▁" + t.replace(" ", "▁") and "<" not in t]
            with open(os.path.join(folder, name + ".cases.json"), "w", encoding="utf-8") as f:
                json.dump([{"text": t, "ids": sp.encode(t)} for t in plain], f)
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        if path.endswith((".gguf.json", ".cases.json")):
            continue
        tokenizer = Tokenizer.from_file(path)
        encodings = [tokenizer.encode(doc, add_special_tokens=False).ids for doc in docs]
        write_records(path.removesuffix(".json") + ".ids", [struct.pack(f"<{len(ids)}i", *ids) for ids in encodings])
        texts = [tokenizer.decode(ids, skip_special_tokens=False).encode("utf-8") for ids in encodings]
        write_records(path.removesuffix(".json") + ".txt", texts)
        print(f"{os.path.basename(path)}: {sum(map(len, encodings))} tokens")


def english_documents():
    docs = []
    for path in sorted(glob.glob("/usr/share/wordnet/data.*")):
        with open(path, encoding="utf-8", errors="replace") as f:
            glosses = [line.split("|", 1)[1].strip() for line in f if "|" in line]
        docs += ["\n".join(glosses[i:i + 20]) for i in range(0, len(glosses), 20)]
    return docs


def measure_speed(path, out):
    docs = english_documents()
    size = sum(len(d.encode("utf-8")) for d in docs)
    if out:
        write_records(os.path.join(out, "english.bin"), [d.encode("utf-8") for d in docs])
    tokenizer = Tokenizer.from_file(path)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        count = sum(len(tokenizer.encode(doc, add_special_tokens=False).ids) for doc in docs)
        best = min(best, time.perf_counter() - start)
    print(f"tokenizers: {size} bytes, {count} tokens, {size / best / 1e6:.2f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fixtures")
    corpus = commands.add_parser("corpus")
    corpus.add_argument("folder")
    corpus.add_argument("sources", nargs="*")
    speed = commands.add_parser("speed")
    speed.add_argument("tokenizer")
    speed.add_argument("--out")
    args = parser.parse_args()
    if args.command == "fixtures":
        write_fixtures()
    elif args.command == "corpus":
        write_corpus(args.folder, args.sources)
    else:
        measure_speed(args.tokenizer, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
