"""Sliding windows in Hugging Face's config.json: their size, and their layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ggmlkit.arch.architectures import ARCHITECTURES, slides
from ggmlkit.arch.hf_families import Family
from ggmlkit.arch.hparams import ConversionWarning, Hparams
from ggmlkit.arch.read_fields import count, flag
from ggmlkit.errors import HparamsError


def windows_of(
    config: Mapping[str, Any], family: Family, layers: int, context: int
) -> tuple[int, ...]:
    """For each layer, the number of positions that a token sees; 0 for all."""
    everything = (0,) * layers
    window = config.get("sliding_window", family.window) or 0
    if isinstance(window, bool) or not isinstance(window, int) or window < 0:
        raise HparamsError(f"sliding_window = {window!r} in config.json is not a count")
    sliding = _sliding_layers(config, family, layers)
    if not family.has_windows:
        if family.own_stem and flag(config, "use_sliding_window"):  # its own code has them
            raise HparamsError("use_sliding_window = True in config.json is not supported")
        if 0 < window < context:
            _warn_of_ignored_window(family, window)
        return everything
    if family.window_switch and not flag(config, family.window_switch):
        return everything
    alternates = ARCHITECTURES[family.architecture].window_period > 0
    if alternates and any(sliding) and not window:
        shown = config["sliding_window"]
        raise HparamsError(f"sliding_window = {shown!r} in config.json is not supported")
    if window >= context and not alternates:
        return everything  # such a window has no effect
    return tuple(window if each else 0 for each in sliding)


def _warn_of_ignored_window(family: Family, window: int) -> None:
    warnings.warn(
        f"sliding_window {window} is left out: models of type {family.model_type!r} see all "
        "positions",
        ConversionWarning,
        stacklevel=4,
    )


def _sliding_layers(config: Mapping[str, Any], family: Family, layers: int) -> tuple[bool, ...]:
    """For each layer whether it slides: from the file, or else the default."""
    types = config.get("layer_types")
    if types is not None:
        known = {"sliding_attention": True, "full_attention": False}
        is_list = isinstance(types, list) and len(types) == layers
        if not is_list or any(not isinstance(each, str) or each not in known for each in types):
            shown = repr(types)[:80]
            raise HparamsError(f"layer_types = {shown} in config.json is not supported")
        return tuple(known[each] for each in types)
    architecture = ARCHITECTURES[family.architecture]
    if architecture.sliding_base and config.get("sliding_window_pattern") is not None:
        period = count(config, "sliding_window_pattern")
        return tuple(slides(layer, period) for layer in range(layers))
    if not family.window_switch:
        return architecture.sliding_layers(layers)
    first = config.get("max_window_layers", 28)
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise HparamsError(f"max_window_layers = {first!r} in config.json is not a count")
    return tuple(layer >= first for layer in range(layers))


def window_settings(hparams: Hparams, family: Family) -> dict[str, Any]:
    """The window settings of a config.json.

    Raises HparamsError if layers differ, but those of the family can't.
    """
    alternates = hparams.switches.window_period > 0
    if not hparams.window and not alternates:
        return {"sliding_window": None}
    # If no layer slides, the window has no effect, but transformers needs one.
    found: dict[str, Any] = {"sliding_window": hparams.window or family.window}
    if len(set(hparams.windows) - {0}) > 1:
        raise HparamsError(f"{family.model_class} has no windows of several sizes")
    if family.window_switch:
        found[family.window_switch] = True
    if family.window_switch or alternates:
        found["layer_types"] = [
            "sliding_attention" if each else "full_attention" for each in hparams.windows
        ]
    elif not all(hparams.windows):
        raise HparamsError(f"{family.model_class} has the same window in every layer")
    return found
