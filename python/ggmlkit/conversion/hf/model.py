"""A model with Hugging Face's config.json and names of tensors, turned into gguf's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.hf_config import from_hf_config
from ggmlkit.arch.hparams import Hparams
from ggmlkit.conversion.hf.tied_head import with_head_as_saved
from ggmlkit.conversion.prefixes import own_names
from ggmlkit.conversion.source import Source, checkpoint_source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.lazy import permuted as permute
from ggmlkit.lazy.computed_tensor import computed
from ggmlkit.tensor import Tensor


def hf_source(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    files: list[ModelFile],
) -> Source:
    """The Source of a checkpoint whose tensors have Hugging Face's names and row order.

    Args:
        folder: where config.json and the tokenizer lie.
        config: what config.json says.
        tensors: by their names in the checkpoint, with any prefix that all have; lazy.
        files: open files behind the tensors.

    Raises ConversionError, naming the setting or tensor, for what is not supported.
    """
    try:
        hparams = from_hf_config(config)
    except ConversionError as error:
        raise ConversionError(f"{folder / 'config.json'}: {error}") from None
    named = own_names(folder, tensors)
    if named.naming != "hf":
        raise ConversionError(
            f"{folder}: config.json is Hugging Face's, but the tensors have Meta's names"
        )
    found = _gguf_tensors(folder, named.tensors, hparams)
    hparams, found = with_head_as_saved(folder, hparams, found)
    return checkpoint_source(folder, hparams, found, files, special=_token_ids(config))


def hf_values(tensors: Mapping[str, Tensor], hparams: Hparams) -> dict[str, Tensor]:
    """gguf-named tensors in Hugging Face's row order, with its norms; the names stay gguf's."""
    found = dict(tensors)
    for name, tensor in tensors.items():
        heads = _heads_of(name, hparams)
        if heads:
            found[name] = permute.meta_to_hf(tensor, heads)
        elif _is_offset(name, hparams):
            found[name] = _plus(tensor, -1.0)
    return found


def _gguf_tensors(
    folder: Path, tensors: Mapping[str, Tensor], hparams: Hparams
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    parts = hparams.layer_shapes()
    for own_name, tensor in tensors.items():
        if names.is_derived(own_name) or names.is_mask(own_name, tensor.shape):
            continue
        name = names.hf_to_gguf(own_name, hparams.architecture)
        if name is None or (name.startswith("blk.") and name.split(".", 2)[2] not in parts):
            raise ConversionError(f"{folder}: no place for the tensor {own_name}")
        try:
            found[name] = gguf_values(name, tensor, hparams).renamed(name)
        except ConversionError as error:
            raise ConversionError(f"{folder}: {error}") from None
    return found


def gguf_values(name: str, tensor: Tensor, hparams: Hparams) -> Tensor:
    """The tensor as gguf stores it under this name: rows in its order, norms as factors."""
    heads = _heads_of(name, hparams)
    if heads:
        return permute.hf_to_meta(tensor, heads)
    return _plus(tensor, 1.0) if _is_offset(name, hparams) else tensor


def _heads_of(name: str, hparams: Hparams) -> int:
    """Heads of a projection whose rows gguf has in Meta's order; 0 for other tensors."""
    if hparams.switches.rope_pairs != "neighbours":
        return 0
    if name.endswith((".attn_q.weight", ".attn_q.bias")):
        return hparams.heads
    return hparams.kv_heads if name.endswith((".attn_k.weight", ".attn_k.bias")) else 0


def _is_offset(name: str, hparams: Hparams) -> bool:
    """Whether Hugging Face stores a norm's weights minus 1, and gguf the factors themselves."""
    return hparams.switches.stores_norms_less_one and name.endswith("norm.weight")


def _plus(tensor: Tensor, offset: float) -> Tensor:
    return computed(tensor, lambda values: values + np.float32(offset))


def _token_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """Special token ids of config.json; of a list of end tokens, the first."""
    found = {}
    for key in ("bos", "eos", "pad", "unk"):
        value = config.get(f"{key}_token_id")
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            found[key] = value
    return found
