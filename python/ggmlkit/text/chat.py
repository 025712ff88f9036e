"""Renders chat messages to prompt text with the chat template of the model's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.text.named_templates import CHATML, LLAMA3, PLAIN
from ggmlkit.text.template.process import RENDERERS
from ggmlkit.text.template.values import plain
from ggmlkit.text.tokenizer import Tokenizer

_MAX_TEMPLATE = 50_000  # characters; the longest in use have about 20 000


def render(
    template: str | None,
    messages: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
    /,  # a template may have a variable of any name
    add_generation_prompt: bool = True,
    **variables: object,
) -> str:
    """The prompt for a conversation; encode it with ``add_special=False, parse_special=True``.

    The template runs in a sandbox, in its own process that is started on first use, with at most
    one second of processor time and 200 MB of memory. Any number of threads can render at once.

    Args:
        template: a jinja2 template; None for a default that fits the vocabulary.
        messages: mappings with ``role`` and ``content``. They and other variables are copied to
            that process. Allowed values are text, numbers, bool, None, and lists, tuples and dicts
            of these.
        tokenizer: gives the template the texts of the special tokens.
        add_generation_prompt: end with the start of the assistant's turn.
        variables: more variables for the template, such as ``tools``.

    Raises:
        ModelError: the template is not valid jinja2, fails, takes too much time or memory, or
            refuses the messages; a value has another type; no process can be started.
    """
    source = fallback_template(tokenizer) if template is None else template
    if len(source) > _MAX_TEMPLATE:
        size = len(source)
        raise ModelError(f"the chat template has {size} characters, more than {_MAX_TEMPLATE}")
    given = {**tokenizer.special_texts, "tools": None, "documents": None, **variables}
    given |= {
        "messages": list(map(_message, messages)),
        "add_generation_prompt": add_generation_prompt,
    }
    return RENDERERS.rendered(source, {name: plain(given[name], name) for name in given})


def _message(message: object) -> object:
    """A message as a dict if dict() can convert it: clients of servers have their own classes."""
    try:
        return message if isinstance(message, Mapping) else dict(message)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return message


def fallback_template(tokenizer: Tokenizer) -> str:
    """The template for a file without one, chosen by the control tokens of its vocabulary."""
    if tokenizer.token_id("<|im_start|>") is not None:
        return CHATML
    if tokenizer.token_id("<|start_header_id|>") is not None:
        return LLAMA3
    return PLAIN
