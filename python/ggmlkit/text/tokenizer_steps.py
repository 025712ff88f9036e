"""The parts of a tokenizer.json's pipeline."""

from __future__ import annotations

from typing import Any

_PARTS = ("pretokenizers", "normalizers", "processors", "decoders")  # of a Sequence


def flat_steps(value: object) -> list[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer, post-processor or decoder, in one flat list."""
    steps: list[dict[str, Any]] = []
    left: list[Any] = [value]  # no recursion, as a file can nest deeply
    while left:
        step = left.pop()
        if not isinstance(step, dict):
            continue
        parts = [step[key] for key in _PARTS if isinstance(step.get(key), list)]
        if step.get("type") == "Sequence" and parts:
            left += reversed(parts[0])
        else:
            steps.append(step)
    return steps


def step_types(steps: list[dict[str, Any]]) -> str:
    """The types of the steps, for error messages."""
    return " + ".join(str(step.get("type"))[:80] for step in steps[:10]) or "none"
