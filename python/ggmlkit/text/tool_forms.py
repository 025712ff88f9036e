"""The forms in which models write calls of tools, and which of them a chat template has."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ggmlkit.errors import ArgumentError


class Form(NamedTuple):
    """How calls are written.

    Attributes:
        starts: marks before a call.
        ends: marks that may follow it.
        head: what may stand between mark and arguments, where the name is not in the JSON: groups
            ``name`` and perhaps ``id``. None where a call is one JSON object, or a list of them.
        is_bare: a call may begin the answer without a mark.
    """

    starts: tuple[str, ...]
    ends: tuple[str, ...] = ()
    head: re.Pattern[str] | None = None
    is_bare: bool = False


FORMS: Final = {
    "functionary": Form(
        ("<function=",), ("</function>",), re.compile(r"(?P<name>[\w.-]+)>")
    ),
    "hermes": Form(("<tool_call>",), ("</tool_call>",)),
    "json": Form((), is_bare=True),
    "llama3": Form(("<|python_tag|>",), (";",), is_bare=True),
    # A list of calls, or since version 11 name[ARGS]{…}. The mark is a special token, which a
    # decoded text may not have.
    "mistral": Form(
        ("[TOOL_CALLS]",),
        (),
        re.compile(r"(?P<name>[\w.-]+)(\[CALL_ID\](?P<id>\w+))?(\[ARGS\])?"),
        is_bare=True,
    ),
    "phi4": Form(("<|tool_call|>",), ("<|/tool_call|>",)),
}  # fmt: skip
# A template with the first texts, and none of the second, asks for calls in the form.
_SIGNS: Final = (
    ("mistral", ("[TOOL_CALLS]",), ()),
    ("phi4", ("<|tool_call|>",), ()),
    # Other models write XML between the same marks.
    ("hermes", ("<tool_call>",), ("<arg_key>", "<parameter=", "<invoke ")),
    ("functionary", ("<function=",), ("<parameter=",)),
    ("llama3", ("<|python_tag|>",), ()),
    ("llama3", ('"parameters":', "ipython"), ()),
)


def form_name(template: str) -> str | None:
    """The form of the calls that a chat template asks for; None if it shows no known one."""
    for name, signs, others in _SIGNS:
        if all(sign in template for sign in signs) and not any(text in template for text in others):
            return name
    return None


def form(name: str) -> Form:
    """The form with a name; raises ArgumentError if there is none."""
    if name not in FORMS:
        raise ArgumentError(f"form is {name!r}, not one of {', '.join(FORMS)}")
    return FORMS[name]
