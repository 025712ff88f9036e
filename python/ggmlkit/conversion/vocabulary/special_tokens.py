"""Special tokens, added tokens and chat templates, from the small JSON files beside a tokenizer.

They are tokenizer_config.json, special_tokens_map.json, added_tokens.json, chat_template.jinja,
generation_config.json and config.json; each of them can be missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import object_if_there
from ggmlkit.conversion.vocabulary.end_tokens import end_keys
from ggmlkit.conversion.vocabulary.token_table import AddedToken
from ggmlkit.errors import ConversionError, FormatError, ModelError
from ggmlkit.text.special_ids import CARRIED_TEXTS, HF_NAMES
from ggmlkit.text.vocab import token_id

CHAT_TEMPLATE = "tokenizer.chat_template"
CHAT_TEMPLATES = "tokenizer.chat_templates"  # names of others, kept as tokenizer.chat_template.NAME
_MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens")


def special_keys(
    folder: Path, tokens: Sequence[str], known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """gguf keys for the ids of special tokens, whether they are added to texts, and chat templates.

    ``known`` are keys from the tokenizer's own file. Tokens without a gguf key, or without an
    embedding, are kept by their texts under a key of ggmlkit's own.
    """
    config = object_if_there(folder / "tokenizer_config.json")
    named = {**object_if_there(folder / "special_tokens_map.json"), **_without_nulls(config)}
    number_of = {token: number for number, token in enumerate(tokens)}
    found: dict[str, Any] = {}
    texts = _template_texts(config, named)
    for theirs, ours in HF_NAMES.items():
        text = _text_of(named.get(f"{theirs}_token"))
        if text in number_of:
            found[f"tokenizer.ggml.{ours}_token_id"] = number_of[text]
            del texts[f"{theirs}_token"]
    if texts:
        found[CARRIED_TEXTS] = json.dumps(texts)
    for key in ("add_bos_token", "add_eos_token"):
        if isinstance(config.get(key), bool):
            found[f"tokenizer.ggml.{key}"] = config[key]
    eos = {**(known or {}), **found}.get("tokenizer.ggml.eos_token_id")
    found |= end_keys(folder, tokens, eos)
    return {**found, **_chat_templates(folder, config)}


def special_id(metadata: Mapping[str, Any], name: str) -> int | None:
    """The id of ``tokenizer.ggml.NAME_token_id``; None if there is none, ConversionError if it
    names no token."""
    try:
        return token_id(metadata, name, len(metadata.get("tokenizer.ggml.tokens", ())))
    except ModelError as error:
        raise ConversionError(str(error)) from None


def special_names(folder: Path) -> set[str]:
    """Texts of all tokens that the files call special."""
    found: set[str] = set()
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        values = object_if_there(folder / name)
        for key, value in values.items():
            if key in _MORE_SPECIAL:
                several = list(value.values()) if isinstance(value, dict) else value
                found.update(_texts_of(several))
            elif key.endswith("_token"):
                found.update(_texts_of([value]))
    return found


def added_tokens(folder: Path) -> list[AddedToken]:
    """The tokens that tokenizer_config.json, added_tokens.json and tokenizer.json add.

    Where they differ, the first of these counts.
    """
    special = special_names(folder)
    found = {token.number: token for token in _of_tokenizer_json(folder / "tokenizer.json")}
    path = folder / "added_tokens.json"
    for text, number in object_if_there(path).items():
        if type(number) is not int or number < 0:
            raise FormatError(path, None, f"the id of token {text[:80]!r} is not a number from 0")
        found[number] = AddedToken(text, number, text in special)
    path = folder / "tokenizer_config.json"
    decoder = object_if_there(path).get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise FormatError(path, None, "added_tokens_decoder is not an object")
    for key, entry in decoder.items():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not re.fullmatch(r"[0-9]{1,9}", key) or not isinstance(content, str):
            raise FormatError(path, None, f"the added token {key[:80]!r} has no id or no text")
        found[int(key)] = AddedToken(content, int(key), bool(entry.get("special")))
    return [found[number] for number in sorted(found)]


def _of_tokenizer_json(path: Path) -> Iterator[AddedToken]:
    """The added tokens of a tokenizer.json beside the vocabulary's file; none if it is damaged."""
    try:
        added = object_if_there(path).get("added_tokens")
    except FormatError:
        return
    for entry in added if isinstance(added, list) else []:
        number, text = (
            (entry.get("id"), entry.get("content")) if isinstance(entry, dict) else (0, 0)
        )
        if type(number) is int and number >= 0 and isinstance(text, str):
            yield AddedToken(text, number, bool(entry.get("special")))


def _without_nulls(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value is not None}


def _template_texts(config: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, str]:
    """Texts of all tokens that transformers passes to chat templates, by name."""
    extra = config.get("extra_special_tokens")
    every = {**named, **(extra if isinstance(extra, dict) else {})}
    texts = {name: _text_of(token) for name, token in every.items() if name.endswith("_token")}
    return {name: text for name, text in texts.items() if text is not None}


def _text_of(token: object) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _texts_of(tokens: object) -> Iterator[str]:
    for token in tokens if isinstance(tokens, list) else []:
        text = _text_of(token)
        if text is not None:
            yield text


# --------------------------------------------------------------- chat templates


def _chat_templates(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The template to use by default, and others by name."""
    templates = _template_file(folder)
    if templates is None:
        templates = config.get("chat_template")
    if isinstance(templates, str):
        return {CHAT_TEMPLATE: templates}
    named = _named_templates(templates)
    found: dict[str, Any] = {}
    if "default" in named:
        found[CHAT_TEMPLATE] = named.pop("default")
    if named:
        found[CHAT_TEMPLATES] = list(named)
        found |= {f"{CHAT_TEMPLATE}.{name}": template for name, template in named.items()}
    return found


def _template_file(folder: Path) -> str | None:
    """The template in a file of its own, which has precedence."""
    path = folder / "chat_template.jinja"
    if not path.is_file():
        found = object_if_there(folder / "chat_template.json").get("chat_template")
        return found if isinstance(found, str) else None
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(path, error.start, "the chat template is not UTF-8") from None


def _named_templates(entries: object) -> dict[str, str]:
    """Templates of a list of ``{"name": …, "template": …}``, by names that gguf keys can have."""
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        name, template = (
            (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else (None, None)
        )
        if isinstance(name, str) and isinstance(template, str):
            found[re.sub(r"[^A-Za-z0-9]", "_", name)] = template
    return found


def hf_chat_template(metadata: Mapping[str, Any]) -> str | list[dict[str, str]] | None:
    """``chat_template`` of a tokenizer_config.json: one text, or a list where there are several."""
    default = metadata.get(CHAT_TEMPLATE)
    names = metadata.get(CHAT_TEMPLATES)
    others = [str(name) for name in names] if isinstance(names, list) else []
    found = {name: metadata.get(f"{CHAT_TEMPLATE}.{name}") for name in others}
    named = {name: text for name, text in found.items() if isinstance(text, str)}
    if isinstance(default, str):
        if not named:
            return default
        named = {"default": default, **named}
    return [{"name": name, "template": text} for name, text in named.items()] or None
