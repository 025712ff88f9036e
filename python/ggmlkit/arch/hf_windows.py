"""Sliding windows in Hugging Face's config.json: how far a token sees, and in which layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ggmlkit.arch.architectures import ARCHITECTURES, slides
from ggmlkit.arch.hf_families import Family
from ggmlkit.arch.hparams import ConversionWarning, Hparams
from ggmlkit.arch.read_fields import flag
from ggmlkit.errors import ConversionError


def windows_of(
    config: Mapping[str, Any], family: Family, layers: int, context: int
) -> tuple[int, tuple[bool, ...]]:
    """Positions that a token sees, 0 for all; and which layers slide, empty for the usual ones."""
    usual_window = ARCHITECTURES[family.architecture].window
    window = config.get("sliding_window", family.window) or 0
    if isinstance(window, bool) or not isinstance(window, int) or window < 0:
        raise ConversionError(f"sliding_window = {window!r} in config.json is no count")
    told = _sliding_layers(config, family, layers)
    if not family.has_windows:
        if family.own_stem and flag(config, "use_sliding_window"):  # its own code has windows
            raise ConversionError("use_sliding_window = True in config.json is not supported")
        if 0 < window < context:
            _tell_of_a_window_left_out(family, window)
        return 0, ()
    if usual_window and not window:
        shown = config["sliding_window"]
        raise ConversionError(f"sliding_window = {shown!r} in config.json is not supported")
    if family.window_switch and not flag(config, family.window_switch):
        return 0, ()
    if window >= context and not usual_window:
        return 0, ()  # it never hides anything
    period = ARCHITECTURES[family.architecture].window_period
    usual = tuple(slides(layer, period) for layer in range(layers))
    sliding = told or usual
    if not any(sliding) and not usual_window:
        return 0, ()
    return window, () if sliding == usual else sliding


def _tell_of_a_window_left_out(family: Family, window: int) -> None:
    warnings.warn(
        f"sliding_window {window} is left out: models of type {family.model_type!r} see all "
        "positions",
        ConversionWarning,
        stacklevel=4,
    )


def _sliding_layers(
    config: Mapping[str, Any], family: Family, layers: int
) -> tuple[bool, ...] | None:
    """What the file says of each layer; None where it doesn't."""
    types = config.get("layer_types")
    if types is not None:
        known = {"sliding_attention": True, "full_attention": False}
        is_list = isinstance(types, list) and len(types) == layers
        if not is_list or any(not isinstance(each, str) or each not in known for each in types):
            shown = repr(types)[:80]
            raise ConversionError(f"layer_types = {shown} in config.json is not supported")
        return tuple(known[each] for each in types)
    if not family.window_switch:
        return None
    first = config.get("max_window_layers", 28)
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise ConversionError(f"max_window_layers = {first!r} in config.json is no count")
    return tuple(layer >= first for layer in range(layers))


def window_settings(hparams: Hparams, family: Family) -> dict[str, Any]:
    """The settings of a config.json that say so.

    Raises ConversionError for layers that differ where the family's cannot.
    """
    if not hparams.window:
        return {"sliding_window": None}
    found: dict[str, Any] = {"sliding_window": hparams.window}
    sliding = hparams.sliding_layers()
    if family.window_switch:
        found[family.window_switch] = True
    if family.window_switch or hparams.architecture == "gemma2":
        found["layer_types"] = [
            "sliding_attention" if each else "full_attention" for each in sliding
        ]
    elif not all(sliding):
        raise ConversionError(f"{family.model_class} has the same window in every layer")
    return found
