"""The normalizer of a tokenizer.json: its steps, and which of them gguf has keys for."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.text.splitting.normalizers import TRIMMED, normalizer_of
from ggmlkit.text.tokenizer_steps import flat_steps, step_types

_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
# As to_tokenizer_json writes remove_extra_whitespaces.
_TRIMMED = {"type": "Replace", "pattern": {"Regex": TRIMMED}, "content": ""}
_COLLAPSED = {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}


def normalizer_steps(tokenizer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The normalizer's steps in order, without those that change no text."""
    return [step for step in flat_steps(tokenizer.get("normalizer")) if not _does_nothing(step)]


def normalizes_to_nfc(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a step is NFC, the only one that gguf's byte-level families have."""
    return any(step.get("type") == "NFC" for step in normalizer_steps(tokenizer))


def sentencepiece_keys(tokenizer: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The steps that a ``llama`` vocabulary's keys can express, and these keys.

    They are SentencePiece's own: its compiled rules, extra spaces removed, a space put first, and ▁
    for spaces. The last has no key, because it always happens.
    """
    expressed: list[dict[str, Any]] = []
    keys: dict[str, Any] = {}
    for step in normalizer_steps(tokenizer):
        if step in (_COLLAPSED, _TRIMMED):
            keys["tokenizer.ggml.remove_extra_whitespaces"] = True
        elif step.get("type") == "Precompiled":
            charsmap = _decoded(step.get("precompiled_charsmap"))
            if charsmap is None:
                continue
            keys["tokenizer.ggml.precompiled_charsmap"] = np.frombuffer(charsmap, np.uint8)
        elif step != {"type": "Prepend", "prepend": "▁"} and step != _SPACES:
            continue
        expressed.append(step)
    return expressed, keys


def _decoded(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        return None


def check_normalizer(
    path: Path, tokenizer: Mapping[str, Any], expressed: list[dict[str, Any]], *, carried: bool
) -> None:
    """Warn of steps that gguf has no key for, or refuse them.

    Args:
        path: the tokenizer.json, for messages.
        tokenizer: its content.
        expressed: the steps that gguf's keys express.
        carried: whether the file will carry the tokenizer.json, so that ggmlkit can apply them.

    Raises ConversionError for steps that this library cannot run, and for steps that the file would
    lose.
    """
    steps = normalizer_steps(tokenizer)
    try:
        normalizer_of(tokenizer.get("normalizer"))
    except ModelError as error:
        raise ConversionError(
            f"{path}: the normalizer ({step_types(steps)}) is not supported: {error}"
        ) from None
    if steps == expressed:
        return
    if not carried:
        raise ConversionError(
            f"{path}: the normalizer ({step_types(steps)}) is supported only if the model has all "
            "added tokens; make the file's added_tokens fit the model's embeddings"
        )
    warnings.warn(
        f"{path}: gguf has no key for the normalizer ({step_types(steps)}); ggmlkit applies it, "
        "but other programs do not and give some texts other ids",
        ConversionWarning,
        stacklevel=3,
    )


def _does_nothing(step: Mapping[str, Any]) -> bool:
    """Whether a step changes no text."""
    kind = step.get("type")
    if kind == "Prepend":
        return step.get("prepend") == ""
    if kind == "Replace":
        pattern = step.get("pattern")
        text = pattern.get("String") if isinstance(pattern, Mapping) else None
        return isinstance(text, str) and text == step.get("content") and text != ""
    if kind == "Strip":
        return step.get("strip_left") is False and step.get("strip_right") is False
    if kind == "BertNormalizer":
        names = ("clean_text", "handle_chinese_chars", "lowercase")
        # Where strip_accents is null, lowercase decides.
        return not step.get("strip_accents") and all(step.get(name) is False for name in names)
    return False
