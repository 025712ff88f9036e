"""The chat template that the command line names, and its variables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ggmlkit.cli.prompt_text import text_of
from ggmlkit.cli.usage import UsageError
from ggmlkit.text.messages import RESERVED_VARIABLES
from ggmlkit.text.named_templates import TEMPLATES, NamedTemplate, template_names


def given_template(args: argparse.Namespace) -> NamedTemplate | None:
    """The template of ``--chat-template`` or ``--chat-template-file``; None without both.

    Raises:
        UsageError: both are given, or the first names neither a template nor a file.
        FormatError: the file is not UTF-8.
        OSError: the file can't be read.
    """
    named, file = args.chat_template, args.chat_template_file
    if named is not None and file is not None:
        raise UsageError("give either --chat-template or --chat-template-file")
    if named in TEMPLATES:
        return TEMPLATES[named]
    if named is not None:
        file = Path(named).expanduser()
        if "{" in named or not file.exists():
            shown = named if len(named) <= 80 else f"{named[:80]}…"
            raise UsageError(
                f"--chat-template {shown!r} is neither a file nor one of {template_names()}; "
                "write a template of your own to a file"
            )
    return None if file is None else NamedTemplate(text_of(file))


def given_variables(args: argparse.Namespace) -> dict[str, Any]:
    """The variables of ``--chat-template-kwargs``.

    Raises:
        UsageError: they are not a JSON object, or one is what the conversation itself sets.
    """
    text = args.chat_template_kwargs
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("--chat-template-kwargs must be a JSON object, such as '{\"a\": 1}'")
    for name in RESERVED_VARIABLES:
        if name in found:
            raise UsageError(f"--chat-template-kwargs can't set {name!r}")
    return found
