"""Schemas as the grammar library keeps them: exactly, or refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from llguidance import LLMatcher, LLTokenizer

import ggmlkit as gk
from ggmlkit.engine.grammar_check import limits, source
from ggmlkit.engine.json_schema import kept_schema

BYTES = LLTokenizer("byte")
DATES = ("2021-02-28", "2020-02-29", "2000-02-29", "0004-02-29", "9999-12-31", "2021-01-29")
NO_DATES = ("2021-02-29", "1900-02-29", "0000-01-01", "2021-02-30", "2021-13-01", "2021-04-31")


def takes(schema: dict[str, Any], document: str) -> bool:
    """Whether the grammar of a schema has a text."""
    grammar = source("json_schema", kept_schema(json.dumps(schema)))
    matcher = LLMatcher(BYTES, grammar, log_level=0, limits=limits())
    assert not matcher.is_error(), matcher.get_error()
    ids = BYTES.tokenize_str(document)
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        # What asks for nothing is no reason to refuse.
        ({"type": "array", "uniqueItems": False}, ["[1, 1]"], ["1"]),
        ({"type": "array", "uniqueItems": True, "maxItems": 1}, ["[1]"], ["[1, 1]"]),
        ({"type": "string", "format": "path"}, ['"/a"'], ["1"]),
        ({"type": "object", "dependencies": {}, "propertyNames": True}, ["{}"], ["1"]),
        ({"type": "array", "minContains": 2, "then": False, "else": {"not": {}}}, ["[]"], ["1"]),
        ({"type": "null", "if": {"type": "null"}}, ["null"], ["1"]),
        ({"type": "array", "unevaluatedItems": {}, "items": {}}, ["[1]"], ["1"]),
        # A name has one spelling.
        (
            {"properties": {"a": {"type": "null"}}},
            ['{"a": null}', r'{"b\n": 1}', "{}"],
            ['{"a": 1}', r'{"\u0061": 1}', r'{"b": 1, "\u0061": 1}'],
        ),
        ({"type": "string"}, ['"é😀"', r'"\n\"\\"'], [r'"\u0061"', r'"\/"', '"\n"']),
        ({"minProperties": 2, "required": ["a"]}, ['{"a": 1, "b": 2}'], ['{"a": 1}']),
        ({"format": "date"}, [*map(json.dumps, DATES), "1"], [*map(json.dumps, NO_DATES)]),
        (
            {"format": "date", "pattern": "^20", "allOf": [{"pattern": "8$"}]},
            ['"2021-02-28"'],
            ['"2021-02-27"', '"1921-02-28"', '"2021-02-29"', '"2008"'],
        ),
        (
            {"format": "date-time"},
            [f'"{date}T23:59:59Z"' for date in DATES],
            [f'"{date}T23:59:59Z"' for date in NO_DATES] + ['"2021-01-01T00:00:60Z"'],
        ),
        ({"format": "time"}, ['"23:59:59Z"'], ['"12:00:60Z"', '"24:00:00Z"']),
        # A property may have a keyword's name, and a value may look like a schema.
        ({"properties": {"format": {"type": "string"}}}, ['{"format": "x"}'], ['{"format": 1}']),
        ({"const": {"format": "path", "not": 1}}, ['{"format":"path","not":1}'], ["{}"]),
        ({"enum": [{"uniqueItems": False}]}, ['{"uniqueItems": false}'], ["{}"]),
    ],
)  # fmt: skip
def test_the_same_documents_fit(schema: dict[str, Any], good: list[str], bad: list[str]) -> None:
    for document in good:
        assert takes(schema, document), document
        jsonschema.validate(json.loads(document), schema)
    for document in bad:
        assert not takes(schema, document), document


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "draft-03/schema# is too old"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "x-guidance is not supported"),
        ({"properties": {"a": {"required": True}}}, "required must be a list of names"),
        ({"items": [{"format": "regex"}]}, "the format 'regex' is not supported"),
        ({"allOf": [{"format": 3}]}, "format must be text"),
        ({"$defs": {"a": {"minProperties": 2}}}, "minProperties 2 is not supported unless"),
        ({"minProperties": 3, "required": ["a"]}, "minProperties 3 is not supported unless"),
    ],
)
def test_what_would_be_passed_over_is_refused(schema: dict[str, Any], said: str) -> None:
    for given in (schema, json.dumps(schema)):
        with pytest.raises(gk.ArgumentError, match=f"^json_schema: .*{said}"):
            gk.SamplingParams(json_schema=given)


@pytest.mark.parametrize(
    "schema",
    [
        {"minProperties": 2, "required": ["a", "b"]},
        {"minProperties": 2, "additionalProperties": False, "properties": {"a": {}, "b": {}}},
        {"minProperties": 1},
        {"required": ["a"], "properties": {"a": {"required": False}}},
        {"allOf": 3, "format": "date", "pattern": "a"},
        {"properties": [], "items": 3, "format": None},
        True,
    ],
)
def test_what_is_not_ours_to_refuse_is_left(schema: object) -> None:
    kept_schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, "oneOf is not supported where two"),
        ({"type": "array", "uniqueItems": True}, 'not supported: "uniqueItems"'),
        ({"$ref": "http://example.com/a"}, "'http://example.com/a' is outside the schema"),
    ],
)
def test_the_library_s_refusals_are_in_our_words(schema: dict[str, Any], said: str) -> None:
    from ggmlkit.engine.grammar_check import fault

    found = fault("json_schema", kept_schema(json.dumps(schema)))
    assert found.startswith(said)
    assert "option" not in found
