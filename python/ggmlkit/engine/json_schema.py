"""A JSON Schema as the grammar library can keep it: exactly, or not at all.

The library refuses most keywords that it can't keep. What it would pass over without a word is
refused or spelled out here, and what has no effect is taken away, so that it refuses less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ggmlkit.errors import ArgumentError

# Where a schema has schemas.
_OF_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_OF_ONE = (
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties",
    "unevaluatedProperties", "propertyNames", "not", "if", "then", "else",
)  # fmt: skip
_OF_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")

# Formats that JSON Schema defines and that the library has not; others are annotations.
_UNKEPT_FORMATS = frozenset({
    "idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template",
    "json-pointer", "relative-json-pointer", "regex",
})  # fmt: skip
_KEPT_FORMATS = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid",
})  # fmt: skip
# The library's dates have a 29th of February each year, and its minutes a leap second.
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    f"^(?:{_YEAR}-(?:0[13-9]|1[0-2])-[0-9]{{2}}|{_YEAR}-02-(?:[01][0-9]|2[0-8])|{_LEAP_YEAR}-02-29)"
)
_TIME = "[0-9]{2}:[0-9]{2}:[0-5][0-9]"
_EXACT = {"date": f"{_DATE}$", "time": f"^{_TIME}", "date-time": f"{_DATE}[Tt]{_TIME}"}
_OLD_DRAFT = re.compile(r"json-schema\.org/draft-0[0-3]\b")


@lru_cache(maxsize=256)
def kept_schema(text: str) -> str:
    """A schema that the same documents fit, for the library.

    Args:
        text: the schema, an object or a boolean, as JSON.

    Raises:
        ArgumentError: a part of it can't be kept.
    """
    schema = json.loads(text)
    if isinstance(schema, dict):
        _check_root(schema)
    for each in _schemas(schema):
        _check(each)
        for name in _idle(each):
            del each[name]
        _set_format(each)
    try:
        return json.dumps(schema)
    except RecursionError:
        raise ArgumentError("json_schema is nested too deeply") from None


def _schemas(root: object) -> Iterator[dict[str, Any]]:
    """All schemas within a schema that are objects, itself included."""
    left = [root]
    while left:
        schema = left.pop()
        if not isinstance(schema, dict):
            continue
        yield schema
        for name in _OF_NAMES:
            if isinstance(schema.get(name), dict):
                left += schema[name].values()
        left += [schema[name] for name in _OF_ONE if name in schema]
        for name in _OF_LISTS:
            if isinstance(schema.get(name), list):
                left += schema[name]


def _check_root(schema: dict[str, Any]) -> None:
    draft = schema.get("$schema")
    if isinstance(draft, str) and _OLD_DRAFT.search(draft):
        raise ArgumentError(
            f"json_schema: {draft} is too old; drafts 4, 6, 7, 2019-09 and 2020-12 are known"
        )
    if "x-guidance" in schema:  # which would let the library pass over keywords
        raise ArgumentError("json_schema: x-guidance is not supported")


def _check(schema: dict[str, Any]) -> None:
    """Raise ArgumentError for what the library would not keep, and not refuse."""
    if schema.get("required") is True:
        raise ArgumentError(
            "json_schema: required must be a list of names, beside properties; true is of draft 3"
        )
    form = schema.get("format")
    if form is not None and not isinstance(form, str):
        raise ArgumentError("json_schema: format must be text")
    if form in _UNKEPT_FORMATS:
        raise ArgumentError(f"json_schema: the format {form!r} is not supported")
    least, named = schema.get("minProperties"), schema.get("required")
    if not isinstance(least, (int, float)) or schema.get("additionalProperties") is False:
        return
    if least > 1 + (len(named) if isinstance(named, list) else 0):
        # A name that comes twice would count twice.
        raise ArgumentError(
            f"json_schema: minProperties {least} is not supported unless all properties but one "
            "are required, or additionalProperties is false"
        )


def _idle(schema: dict[str, Any]) -> list[str]:
    """Keywords that ask for nothing: by their value, or without another one."""
    most = schema.get("maxItems")
    is_idle = {
        "required": schema.get("required") is False,
        "uniqueItems": schema.get("uniqueItems") is False or most in (0, 1),
        "minContains": "contains" not in schema,
        "maxContains": "contains" not in schema,
        "then": "if" not in schema,
        "else": "if" not in schema,
        "if": "then" not in schema and "else" not in schema,
    }
    for name in ("dependencies", "dependentRequired", "dependentSchemas"):
        is_idle[name] = schema.get(name) == {}
    for name in ("unevaluatedItems", "unevaluatedProperties", "propertyNames"):
        is_idle[name] = schema.get(name) is True or schema.get(name) == {}
    return [name for name, idle in is_idle.items() if idle and name in schema]


def _set_format(schema: dict[str, Any]) -> None:
    """Drop a format that is an annotation, and spell one out that the library has too wide."""
    form = schema.get("format")
    if form not in _KEPT_FORMATS:
        schema.pop("format", None)
    elif exact := _EXACT.get(form):
        if "pattern" not in schema:
            schema["pattern"] = exact
        elif isinstance(schema.setdefault("allOf", []), list):  # the library refuses others
            schema["allOf"].append({"pattern": exact})
