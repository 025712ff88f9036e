"""Parameters by the model's own names, without the prefixes of modules that wrap the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from ggmlkit.errors import ConversionError
from ggmlkit.tensor import Tensor

Naming = Literal["hf", "meta"]

# Wrappers of torch.compile and FSDP, which can lie between any two modules.
_WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# A parameter that every model has, which shows the prefix; and what the prefix becomes.
_ANCHORS: tuple[tuple[Naming, str, str], ...] = (
    ("hf", "model.embed_tokens.weight", ""),
    ("meta", "tok_embeddings.weight", ""),
    ("hf", "embed_tokens.weight", "model."),  # the model without its head
    # For embeddings that are saved only as the head.
    ("hf", "model.layers.0.input_layernorm.weight", ""),
    ("hf", "layers.0.input_layernorm.weight", "model."),
)
_HEAD = "lm_head."


class NamedTensors(NamedTuple):
    """Tensors by a model's own names, and whether these are Hugging Face's or Meta's."""

    naming: Naming
    tensors: dict[str, Tensor]


def own_names(path: Path, tensors: Mapping[str, Tensor]) -> NamedTensors:
    """The tensors without the prefix that all have: ``module.``, ``_orig_mod.``, ``net.model.``, …

    Raises ConversionError if they have neither Hugging Face's nor Meta's names, or several models'.
    """
    bare: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        own = unwrapped(name)
        if own in bare:
            raise ConversionError(f"{path}: two tensors have the name {own}")
        bare[own] = tensor
    for naming, anchor, becomes in _ANCHORS:
        found = [name for name in bare if name == anchor or name.endswith(f".{anchor}")]
        if len(found) > 1:
            raise ConversionError(f"{path} holds several models: {found[0]} and {found[1]}")
        if found:
            prefix = found[0].removesuffix(anchor)
            return NamedTensors(naming, _renamed(path, bare, prefix, becomes))
    raise ConversionError(
        f"{path}: the tensors have neither Hugging Face's nor Meta's names of a LLaMA"
    )


def unwrapped(name: str) -> str:
    """The name without the wrappers that torch.compile and FSDP put between modules."""
    return _WRAPPERS.sub("", name)


def _renamed(
    path: Path, bare: Mapping[str, Tensor], prefix: str, becomes: str
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in bare.items():
        own = _own_name(name, prefix, becomes)
        if own is None:
            raise ConversionError(f"{path}: no place for the tensor {name}")
        if own in found:
            raise ConversionError(f"{path}: two tensors have the name {own}")
        found[own] = tensor
    return found


def _own_name(name: str, prefix: str, becomes: str) -> str | None:
    """The model's own name of a parameter, or None for one outside it; the head can be outside."""
    outside, head, rest = name.rpartition(_HEAD)
    if head and prefix.startswith(outside):
        return head + rest
    return becomes + name.removeprefix(prefix) if name.startswith(prefix) else None
