"""The parts of a tokenizer.json's pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PARTS = ("pretokenizers", "normalizers", "processors", "decoders")  # of a Sequence


def flat_steps(value: object) -> list[dict[str, Any]]:
    """The parts of a normalizer, pre-tokenizer, post-processor or decoder, sequences laid flat."""
    steps: list[dict[str, Any]] = []
    left: list[Any] = [value]  # no recursion: files nest as they like
    while left:
        step = left.pop()
        if not isinstance(step, dict):
            continue
        parts = next((step[name] for name in _PARTS if step.get(name)), None)
        if step.get("type") == "Sequence" and isinstance(parts, list):
            left += reversed(parts)
        else:
            steps.append(step)
    return steps


def said(steps: list[dict[str, Any]]) -> str:
    """The steps' types in a few words, for errors."""
    return " + ".join(str(step.get("type"))[:80] for step in steps[:10]) or "none"


def surrounding_tokens(tokenizer: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The special tokens that the post-processor puts before and after a text, if any."""
    for step in flat_steps(tokenizer.get("post_processor")):
        single = step.get("single")
        if step.get("type") == "TemplateProcessing" and isinstance(single, list) and single:
            last = single[-1] if len(single) > 1 else None
            return _special_token(single[0]), _special_token(last)
    return None, None


def _special_token(part: object) -> str | None:
    token = part.get("SpecialToken") if isinstance(part, dict) else None
    text = token.get("id") if isinstance(token, dict) else None
    return text if isinstance(text, str) else None
