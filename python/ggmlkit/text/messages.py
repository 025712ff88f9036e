"""Converts chat messages to the form that a text-only model's template takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ggmlkit.arguments import shown
from ggmlkit.arguments import text as checked_text
from ggmlkit.errors import ArgumentError, ArgumentTypeError, ModelError
from ggmlkit.text.chat import render
from ggmlkit.text.named_templates import TEMPLATES, template_names, template_source
from ggmlkit.text.tokenizer import Tokenizer

# Names of an assistant's thoughts in a message; templates read the first or the second.
_REASONING = ("reasoning_content", "thinking", "reasoning")
_TEXT_PARTS = ("text", "input_text", "output_text")
# Of transformers' apply_chat_template, which would change nothing here.
_NO_VARIABLES = frozenset(
    {
        "continue_final_message",
        "max_length",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer_kwargs",
        "truncation",
    }
)
# Variables of a template that the conversation itself sets.
RESERVED_VARIABLES = ("messages", "add_generation_prompt", "template", "tokenizer")
_PROBE = "ggmlkit probe"  # no template writes this by itself


def chat_ids(
    messages: Iterable[Mapping[str, Any]],
    tokenizer: Tokenizer,
    template: str | None = None,
    **variables: object,
) -> list[int]:
    """Token ids that ask for an answer to a conversation.

    Args:
        messages: as for :func:`text_messages`.
        tokenizer: the model's tokenizer.
        template: a chat template or the name of a built-in one; the default is the file's own.
        variables: more variables for the template, such as ``tools``.

    Raises:
        ArgumentError: as for :func:`text_messages`; no template has this name; a built-in template
            is given tools or documents, for which it has no place.
        ModelError: there is no chat template, or as :func:`ggmlkit.text.chat.render` does.
    """
    tools: Any = variables.pop("tools", None)
    prompt = chat_text(messages, tokenizer, template, tools=tools, variables=variables)
    # Templates write the special tokens, the first one included where there is to be one.
    return tokenizer.encode(prompt, add_special=False, parse_special=True)


def chat_text(
    messages: Iterable[Mapping[str, Any]],
    tokenizer: Tokenizer,
    template: str | None = None,
    *,
    tools: Iterable[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = True,
    variables: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """The text that a chat template makes of a conversation, with the names of special tokens.

    Args:
        messages: as for :func:`text_messages`.
        tokenizer: the model's tokenizer.
        template: as for :func:`chat_ids`.
        tools: descriptions of functions, as JSON schemas.
        add_generation_prompt: end with the start of the assistant's turn.
        variables: more for the template.

    Raises:
        ArgumentError: as for :func:`chat_ids`; tools are no list of mappings, or a variable is an
            argument of transformers that no template reads.
        ModelError: as for :func:`chat_ids`.
    """
    if "chat_template" in variables:
        raise ArgumentTypeError("a template of your own is given as template=…, not chat_template")
    if wrong := sorted(_NO_VARIABLES.intersection(variables)):
        raise ArgumentTypeError(
            f"{wrong[0]} is not an argument of a template: the result is text, and "
            "Model.chat_prompt gives token ids"
        )
    wanted = {
        "add_generation_prompt": bool(add_generation_prompt),
        "tools": listed_tools(tools),
        **variables,
    }
    source = _source(template, tokenizer, wanted)
    given = text_messages(messages, source, tokenizer)
    return render(source, given, tokenizer, **wanted)  # type: ignore[arg-type]


def listed_tools(tools: object) -> list[Mapping[str, Any]] | None:
    """Tools as a template takes them; none are None."""
    if tools is None:
        return None
    wrong = tools
    if isinstance(tools, Iterable) and not isinstance(tools, (Mapping, str, bytes)):
        listed = list(tools)
        wrong = next((each for each in listed if not isinstance(each, Mapping)), None)
        if wrong is None:
            return listed or None
    raise ArgumentTypeError(
        f"tools must be a list of mappings, each a function's JSON schema, not {shown(wrong)}"
    )


def _source(template: str | None, tokenizer: Tokenizer, variables: Mapping[str, object]) -> str:
    """The jinja2 text of the template to use, which takes these variables."""
    if template is None:
        if tokenizer.chat_template is None:
            raise ModelError(
                "the file has no chat template; give one to Model.chat_prompt(…, template=…), "
                f"such as {template_names()}, or use generate with a text of your own"
            )
        return tokenizer.chat_template
    if checked_text(template, "template") in TEMPLATES:
        for name in ("tools", "documents"):
            if variables.get(name):
                raise ArgumentError(
                    f"the built-in template {template!r} has no place for {name}: "
                    "give one of your own"
                )
    return template_source(template)


def text_messages(
    messages: Iterable[Mapping[str, Any]], template: str, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """The messages, with contents in the form that the template takes.

    A content of None becomes an empty text; beside tool calls it stays None if the template knows
    that. A list of text parts is joined by newlines; a template that doesn't take plain
    text gets the list of parts. Thoughts of the assistant get all names that templates read.

    Args:
        messages: mappings with ``role`` and ``content``, or objects that dict() can convert.
        template: the model's chat template.
        tokenizer: the model's tokenizer.

    Raises:
        ArgumentError: there are no messages, one is not a mapping or has no content (a message of
            tool calls needs none), or a part of one is not text.
    """
    if isinstance(messages, (Mapping, str, bytes)) or not isinstance(messages, Iterable):
        raise ArgumentTypeError(
            "messages must be a list of mappings with role and content, not " + shown(messages)
        )
    found = [_as_dict(message, place) for place, message in enumerate(messages)]
    if not found:
        raise ArgumentError("there are no messages to answer")
    parts = {place: _texts(message.get("content"), place) for place, message in enumerate(found)}
    takes_text = None
    for place, texts in parts.items():
        if found[place].get("content", "") is None and not found[place].get("tool_calls"):
            found[place]["content"] = ""
        elif texts is not None:
            if takes_text is None:
                takes_text = _takes_text(template, tokenizer)
            listed = [{"type": "text", "text": each} for each in texts]
            found[place]["content"] = "\n".join(texts) if takes_text else listed
    return _without_none(found, template, tokenizer)


def _without_none(
    messages: list[dict[str, Any]], template: str, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """The messages; a content of None is an empty text if the template fails or writes it out."""
    if all(message.get("content", "") is not None for message in messages):
        return messages
    empty = [
        {**message, "content": ""} if message.get("content", "") is None else message
        for message in messages
    ]
    try:
        written = _nones(render(template, messages, tokenizer))
    except ModelError:
        return empty
    try:
        return empty if written > _nones(render(template, empty, tokenizer)) else messages
    except ModelError:
        return messages


def _nones(text: str) -> int:
    """How often a text has None, as jinja2 or JSON writes it."""
    return text.count("None") + text.count("null")


def _as_dict(message: object, place: int) -> dict[str, Any]:
    """A message as a dict; clients of servers have their own classes."""
    try:
        if isinstance(message, (str, bytes)):
            raise TypeError
        found: dict[str, Any] = dict(message)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"messages[{place}] must be a mapping with role and content, not {shown(message)}"
        ) from None
    if "content" not in found and "tool_calls" not in found:
        raise ArgumentError(f"messages[{place}] has no content")
    thoughts = next((found[key] for key in _REASONING if found.get(key) is not None), None)
    if thoughts is not None:
        found = {"thinking": thoughts, **found, "reasoning_content": thoughts}
    return found


def _texts(content: object, place: int) -> list[str] | None:
    """The texts of a content that is a list of parts, else None."""
    if not isinstance(content, Sequence) or isinstance(content, (str, bytes, bytearray)):
        return None
    return [_text(part, f"messages[{place}]['content'][{n}]") for n, part in enumerate(content)]


def _text(part: object, where: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in _TEXT_PARTS:
        what = f"a part of type {kind!r}" if isinstance(kind, str) else shown(part)
        raise ArgumentError(f"{where} is {what}; this model takes parts of type 'text' only")
    text = part.get("text") if isinstance(part, Mapping) else None
    if not isinstance(text, str):
        raise ArgumentTypeError(f"{where}['text'] must be a str, not {shown(text)}")
    return text


def _takes_text(template: str, tokenizer: Tokenizer) -> bool:
    """Whether the template accepts plain text as a content."""
    try:
        return _PROBE in render(template, [{"role": "user", "content": _PROBE}], tokenizer)
    except ModelError:  # for example, a template that needs other roles
        return True
