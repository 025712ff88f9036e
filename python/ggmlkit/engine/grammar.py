"""The settings that say of which form a text must be: ``json_schema``, ``regex`` and ``grammar``.

They are checked here as far as that needs no vocabulary; `ggmlkit.engine.constraint` does the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ggmlkit.arguments import shown, stored_text
from ggmlkit.engine.json_schema import kept_schema
from ggmlkit.errors import ArgumentError, ArgumentTypeError

GrammarField = Literal["json_schema", "regex", "grammar"]

# Characters. What takes long to read for its size is bounded by its size alone.
_LONGEST: dict[GrammarField, int] = {
    "json_schema": 256 * 1024,
    "regex": 16 * 1024,
    "grammar": 64 * 1024,
}
_MOST_RULES = 500
_RULE = re.compile(r"^[ \t]*[?!]?[\w.-]+[^\n:\"/]{0,100}(?:::=|:)", re.MULTILINE)


@dataclass(frozen=True)
class Grammar:
    """What a text must be like.

    Attributes:
        field: the setting that it comes from.
        text: a JSON Schema, a regular expression, or a grammar in Lark's or GBNF's notation.
    """

    field: GrammarField
    text: str


def grammar_of(json_schema: object, regex: object, grammar: object) -> Grammar | None:
    """What the settings want the text to be like; None: it is free.

    Raises:
        ArgumentError: several of the settings are given, or one is too long or of a wrong type.
    """
    found: list[Grammar] = []
    if json_schema is not None:
        found.append(Grammar("json_schema", _schema_text(json_schema)))
    if regex is not None:
        found.append(Grammar("regex", _bounded(stored_text(regex, "regex"), "regex")))
    if grammar is not None:
        found.append(Grammar("grammar", _bounded(stored_text(grammar, "grammar"), "grammar")))
    if len(found) > 1:
        raise ArgumentError(f"give {' or '.join(each.field for each in found)}, not both at once")
    for each in found:
        if each.field == "grammar" and len(_RULE.findall(each.text)) > _MOST_RULES:
            raise ArgumentError(f"grammar has more than {_MOST_RULES} rules, too many to read")
    return found[0] if found else None


def _bounded(text: str, field: GrammarField) -> str:
    """The text; raises ArgumentError if it is too long."""
    if len(text) > _LONGEST[field]:
        raise ArgumentError(f"{field} has {len(text)} characters; {_LONGEST[field]} is the most")
    return text


def _schema_text(schema: object) -> str:
    """A JSON Schema as JSON, as the grammar library can keep it; its keys keep their order."""
    if isinstance(schema, Mapping):
        try:
            text = json.dumps(dict(schema), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ArgumentError(f"json_schema can't be written as JSON: {error}") from None
        return kept_schema(_bounded(text, "json_schema"))
    if not isinstance(schema, str):
        raise ArgumentTypeError(f"json_schema must be a mapping or JSON, not {shown(schema)}")
    text = _bounded(stored_text(schema, "json_schema"), "json_schema")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"json_schema is not JSON: {error}") from None
    if not isinstance(found, (dict, bool)):
        raise ArgumentError(f"json_schema must be a JSON object, not {shown(found)}")
    return kept_schema(text)
