#!/usr/bin/env python3
"""Goldens for structured output: schemas as programs write them, documents near to valid ones, and whether `jsonschema`
finds each valid by draft 2020-12: tests/golden/grammar/cases.json. Needs: jsonschema.
"""
import copy
import json
import os

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

INVOICE = {
    "type": "object", "additionalProperties": False, "required": ["id", "issued", "lines", "total"],
    "properties": {
        "id": {"type": "string", "pattern": "^INV-[0-9]{4}$"},
        "issued": {"type": "string", "format": "date"},
        "customer": {"$ref": "#/$defs/party"},
        "lines": {"type": "array", "minItems": 1, "maxItems": 3, "items": {
            "type": "object", "additionalProperties": False, "required": ["text", "count"],
            "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 8},
                           "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 100},
                           "price": {"type": "number", "minimum": 0}}}},
        "total": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6},
        "note": {"type": ["string", "null"]}},
    "$defs": {"party": {"type": "object", "additionalProperties": {"type": "string"}, "required": ["name"],
                        "properties": {"name": {"type": "string"}, "vat": {"enum": ["DE1", "FR2", None]}}}}}
INVOICES = [
    {"id": "INV-0001", "issued": "2024-02-29", "customer": {"name": "A", "vat": None, "city": "é"},
     "lines": [{"text": "nuts", "count": 3, "price": 0.25}], "total": 12.5, "note": None},
    {"id": "INV-0002", "issued": "2023-12-31", "lines": [{"text": "a", "count": 99}, {"text": "b", "count": 1}],
     "total": 7, "note": "x"}]

TREE = {"$ref": "#/$defs/node", "$defs": {"node": {
    "type": "object", "additionalProperties": False, "required": ["op"],
    "properties": {"op": {"type": "string", "enum": ["and", "or", "leaf"]},
                   "args": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
                   "value": {"anyOf": [{"type": "integer", "multipleOf": 3}, {"type": "boolean"}]}}}}}
TREES = [{"op": "and", "args": [{"op": "leaf", "value": 6}, {"op": "or", "args": []}]}, {"op": "leaf", "value": True}]

SHAPES = {"type": "array", "items": {"oneOf": [
    {"type": "object", "additionalProperties": False, "required": ["kind", "r"],
     "properties": {"kind": {"const": "circle"}, "r": {"type": "number", "exclusiveMinimum": 0}}},
    {"type": "object", "additionalProperties": False, "required": ["kind", "w", "h"],
     "properties": {"kind": {"const": "box"}, "w": {"type": "integer"}, "h": {"type": "integer"}}},
    {"type": "null"}]}}
SHAPE_LISTS = [[{"kind": "circle", "r": 1.5}, None, {"kind": "box", "w": 1, "h": -1}], []]

MERGED = {"type": "object", "allOf": [
    {"properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "string"}}, "required": ["a"]},
    {"properties": {"a": {"maximum": 7}, "c": {"type": "array", "items": {"type": "boolean"}}}},
    {"anyOf": [{"required": ["b"]}, {"required": ["c"]}]}], "additionalProperties": True}
MERGES = [{"a": 3, "b": "x"}, {"a": 7, "c": [True]}, {"a": 0, "b": "", "c": []}]

ROW = {"type": "array", "prefixItems": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "uuid"},
                                        {"type": "integer", "minimum": -5, "maximum": 5}],
       "items": {"type": ["null", "boolean"]}, "minItems": 2, "maxItems": 5}
ROWS = [["10.0.0.255", "123e4567-e89b-12d3-a456-426614174000", -5, None, True],
        ["1.2.3.4", "123E4567-e89b-12d3-a456-426614174000"]]

OTHERS = [None, True, 0, -1, 7, 100, 1.5, "", "a", "2023-02-29", "1.2.3.400", [], {}]


def variants(document):
    """Documents with one value replaced or left out, or a property added last."""
    yield document
    for other in OTHERS:
        yield other
    if isinstance(document, dict):
        yield {**document, "zz": "x"}
        for key, value in document.items():
            yield {k: v for k, v in document.items() if k != key}
            for other in variants(value):
                yield {**document, key: other}
    elif isinstance(document, list):
        yield document + document
        for i, value in enumerate(document):
            yield document[:i] + document[i + 1:]
            for other in variants(value):
                yield document[:i] + [other] + document[i + 1:]


def main():
    cases = []
    for schema, documents in [(INVOICE, INVOICES), (TREE, TREES), (SHAPES, SHAPE_LISTS), (MERGED, MERGES), (ROW, ROWS)]:
        check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        texts = {json.dumps(v, ensure_ascii=False): v for d in documents for v in variants(copy.deepcopy(d))}
        valid = {text: check.is_valid(document) for text, document in texts.items()}
        cases.append({"schema": schema, "valid": [t for t in valid if valid[t]],
                      "invalid": [t for t in valid if not valid[t]]})
    path = os.path.join(ROOT, "tests", "golden", "grammar", "cases.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(cases, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    print([(len(c["valid"]), len(c["invalid"])) for c in cases])


if __name__ == "__main__":
    main()
