#!/usr/bin/env python3
"""Goldens for tokenizer.model files: trains tiny models with `sentencepiece`, and writes what it and `transformers`
make of a list of texts.

  sentencepiece_goldens.py                   writes tests/golden/sentencepiece/

expected.json has, for each model, the ids by `sentencepiece`; for `bpe` also those of LlamaTokenizer, both legacy and
not, by `transformers`; and for unigram.json (a tokenizer.json with the same vocabulary) those of `tokenizers`.
Needs: sentencepiece, protobuf, transformers, tokenizers.
"""
import base64
import json
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece as spm
import transformers
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import Tokenizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "sentencepiece")

# Characters and sequences that are replaced, in the notation of --normalization_rule_tsv (code points in hexadecimal):
# composition, ligatures, full and half width, spaces, characters that vanish, one that becomes several.
RULES = [("65 301", "e9"), ("61 308", "e4"), ("fb01", "66 69"), ("ff21", "41"), ("ff22", "42"), ("ff11", "31"),
         ("ff76 ff9e", "30ac"), ("ff76", "30ab"), ("a0", "20"), ("3000", "20"), ("9", "20"), ("a", "20"), ("200b", ""),
         ("bd", "31 2044 32"), ("2026", "2e 2e 2e"), ("2460", "31")]

TEXTS = [
    "", " ", "  ", "a", "Hello world", " leading", "  two leading", "trailing ", "a  b", "a   b", "the model of the models",
    "numbers 1 12 123 1234.5", "tab\tand\nlines\n\n", "naïve café", "cafe\u0301 a\u0308 \ufb01n", "ＡＢ１ ｶﾞｶ\u3000x",
    "zero\u200bwidth ½ … ①", "日本語 and 中文", "😀 emoji", "é日", "<sep>", "<sep>abc x", "abc<sep> def", "abc <sep><tool>def",
    "▁marked ▁▁twice", "x" * 40, "unknown ☃☃ snow", "The learning rate of the adapter is computed from the model.",
    "\u00a0nbsp\u00a0", "mixed 日a本b語",
]
# Texts with special tokens: `sentencepiece` cuts them into letters, `transformers` does not.
SPECIAL = ["x <s> y</s>", "<s>Hello world</s>", "</s> leading", "a</s>b</s> c", "<unk> <s>"]


def training_text():
    words = ("the model of a text learns from data and the adapter of the model learns less than the whole model does while "
             "training is the work of many small steps with a learning rate that falls or stays for the rest of training "
             "hello world this is a test of pieces and numbers 1 2 3 12 123 2024 which are leading or trailing").split()
    state, lines = 12345, []
    for _ in range(600):
        line = []
        for _ in range(12):
            state = (state * 1103515245 + 12345) % 2**31
            line.append(words[(state >> 8) % len(words)])
        lines.append(" ".join(line).capitalize() + ".")
    return lines + ["naïve café äe fi ABC 日本語", "def f(x): return x + 1"] * 20


def train(folder, name, **options):
    text = os.path.join(folder, "text.txt")
    with open(text, "w", encoding="utf-8") as f:
        f.write("\n".join(training_text()))
    spm.SentencePieceTrainer.train(input=text, model_prefix=os.path.join(GOLDEN, name), minloglevel=2,
                                   num_threads=1, **options)
    os.remove(os.path.join(GOLDEN, name + ".vocab"))
    path = os.path.join(GOLDEN, name + ".model")
    model = read_model(path)
    for field in ("input", "model_prefix"):  # paths of this run
        model.trainer_spec.ClearField(field)
    write_model(model, path)


def read_model(path):
    model = pb.ModelProto()
    with open(path, "rb") as f:
        model.ParseFromString(f.read())
    return model


def write_model(model, path):
    with open(path, "wb") as f:
        f.write(model.SerializeToString())


def train_all(folder):
    rules = os.path.join(folder, "rules.tsv")
    with open(rules, "w", encoding="utf-8") as f:
        for source, target in RULES:
            f.write(f"{source}\t{target}\n")
    llama = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", split_digits=True,
                 remove_extra_whitespaces=False, allow_whitespace_only_pieces=True)
    train(folder, "bpe", vocab_size=420, user_defined_symbols=["<sep>", "<tool>"], **llama)
    train(folder, "bpe_no_prefix", vocab_size=400, add_dummy_prefix=False, **llama)
    train(folder, "bpe_unknown", vocab_size=140, model_type="bpe", normalization_rule_tsv=rules)
    train(folder, "unigram", vocab_size=120, model_type="unigram", normalization_rule_tsv=rules,
          user_defined_symbols=["<sep>"])
    train(folder, "unigram_bytes", vocab_size=400, model_type="unigram", byte_fallback=True,
          normalization_rule_tsv=rules)
    extend(os.path.join(GOLDEN, "bpe.model"), os.path.join(GOLDEN, "bpe_extended.model"))


def extend(source, target):
    """Adds pieces of equal score, as models are extended for another language."""
    model = read_model(source)
    known = {p.piece for p in model.pieces}
    for piece in ["日", "本", "語", "日本", "本語", "日本語", "ab", "bc", "abc", "nu", "um", "mb", "▁nu", "umb"]:
        if piece not in known:
            model.pieces.add(piece=piece, score=0.0)
    write_model(model, target)


def by_transformers(folder, name, config):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    shutil.copy(os.path.join(GOLDEN, name + ".model"), folder + "/tokenizer.model")
    with open(folder + "/tokenizer_config.json", "w") as f:
        json.dump(config, f)
    with open(folder + "/config.json", "w") as f:
        json.dump({"model_type": "llama"}, f)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__ == "LlamaTokenizer"
    return [{"ids": tokenizer(text)["input_ids"],
             "decoded": tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"])}
            for text in TEXTS + SPECIAL]


def unigram_json():
    """tokenizer.json as converters write it for unigram models."""
    model = read_model(os.path.join(GOLDEN, "unigram.model"))
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    added = [{"id": i, "content": p.piece, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": p.type != 4} for i, p in enumerate(model.pieces) if p.type in (2, 3, 4)]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    data = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
            "pre_tokenizer": metaspace, "decoder": metaspace,
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
                               "add_prefix_space": False},
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                      "vocab": [[p.piece, p.score] for p in model.pieces]}}
    with open(os.path.join(GOLDEN, "unigram.json"), "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    return [{"ids": tokenizer.encode(text, add_special_tokens=False).ids, "special": tokenizer.encode(text).ids,
             "decoded": tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)}
            for text in TEXTS + SPECIAL]


def main():
    transformers.logging.set_verbosity_error()
    os.makedirs(GOLDEN, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        train_all(folder)
        expected = {"texts": TEXTS, "special": SPECIAL, "sentencepiece": {}}
        for name in ["bpe", "bpe_no_prefix", "bpe_unknown", "bpe_extended", "unigram", "unigram_bytes"]:
            processor = spm.SentencePieceProcessor(os.path.join(GOLDEN, name + ".model"))
            expected["sentencepiece"][name] = [processor.encode(text) for text in TEXTS]
        llama = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}
        expected["llama"] = by_transformers(folder + "/m", "bpe", llama)
        expected["llama_legacy"] = by_transformers(folder + "/m", "bpe", {**llama, "legacy": True, "add_eos_token": True})
        expected["llama_no_bos"] = by_transformers(folder + "/m", "bpe", {"tokenizer_class": "LlamaTokenizerFast"})
        expected["tokenizers"] = unigram_json()
    expected["versions"] = {"sentencepiece": spm.__version__, "transformers": transformers.__version__}
    with open(os.path.join(GOLDEN, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(expected, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
