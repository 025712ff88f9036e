"""A model in Hugging Face's words, config.json and tensors by its names, told in gguf's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.conversion import names, permute
from ggmlkit.conversion.hparams import Hparams, from_hf_config
from ggmlkit.conversion.source import Source, checkpoint_source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor


def hf_source(
    folder: Path,
    config: Mapping[str, Any],
    own_names: Mapping[str, Tensor],
    files: list[ModelFile],
) -> Source:
    """The Source of a checkpoint whose tensors have Hugging Face's names and row order.

    Args:
        folder: where config.json and the tokenizer lie.
        config: what config.json says.
        own_names: tensors by their names in the checkpoint, lazy.
        files: open files behind the tensors.

    Raises ConversionError, naming the setting or tensor, for what the decoder lacks.
    """
    try:
        hparams = from_hf_config(config)
    except ConversionError as error:
        raise ConversionError(f"{folder / 'config.json'}: {error}") from None
    found = _gguf_tensors(folder, own_names, hparams)
    return checkpoint_source(folder, hparams, found, files, special=_token_ids(config))


def _gguf_tensors(
    folder: Path, own_names: Mapping[str, Tensor], hparams: Hparams
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for own_name, tensor in own_names.items():
        if names.is_derived(own_name):
            continue
        name = names.to_gguf(own_name)
        if name is None or names.to_hf(name) != own_name:
            raise ConversionError(f"{folder}: no place for the tensor {own_name}")
        if hparams.tied and name == "output.weight":
            continue  # the same values as the embeddings
        try:
            found[name] = reordered(name, tensor, hparams).renamed(name)
        except ConversionError as error:
            raise ConversionError(f"{folder}: {error}") from None
    return found


def reordered(name: str, tensor: Tensor, hparams: Hparams) -> Tensor:
    """Queries and keys in Meta's row order, anything else as it is."""
    if name.endswith(".attn_q.weight"):
        return permute.hf_to_meta(tensor, hparams.heads)
    if name.endswith(".attn_k.weight"):
        return permute.hf_to_meta(tensor, hparams.kv_heads)
    return tensor


def _token_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """Special token ids of config.json; a list of several end tokens means its first."""
    found = {}
    for key in ("bos", "eos", "pad", "unk"):
        value = config.get(f"{key}_token_id")
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            found[key] = value
    return found
