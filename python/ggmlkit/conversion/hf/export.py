"""A model as Hugging Face has it: tensors by its names, and its JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.hf_config import to_hf_config
from ggmlkit.conversion.float_tensors import TORCH_DTYPES
from ggmlkit.conversion.source import Source
from ggmlkit.conversion.vocabulary.end_tokens import hf_end_ids
from ggmlkit.conversion.vocabulary.special_tokens import special_id
from ggmlkit.errors import ConversionError
from ggmlkit.tensor import Tensor

_TOKENS = {"bos": "bos", "padding": "pad"}  # gguf: Hugging Face


def hf_tensors(source: Source, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by Hugging Face's names.

    Raises ConversionError for a tensor that Hugging Face's class would ignore.
    """
    hparams = source.hparams()
    expected = {name for name, _ in hparams.shapes() if name not in names.ROPE_TENSORS}
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        own_name = names.to_hf(name, hparams.architecture)
        if own_name is None or name not in expected:
            raise ConversionError(
                f"{source.path}: Hugging Face's layout has no place for the tensor {name}"
            )
        own[own_name] = tensor.renamed(own_name)
    return own


def hf_files(source: Source, dtype: str) -> dict[str, dict[str, Any]]:
    """config.json and generation_config.json."""
    ids = _token_ids(source.metadata)
    config = {**source.settings(to_hf_config), **ids, "torch_dtype": TORCH_DTYPES[dtype]}
    return {"config.json": config, "generation_config.json": ids}


def _token_ids(metadata: Mapping[str, Any]) -> dict[str, int | list[int]]:
    """Ids of special tokens; of end tokens a list if the file has several."""
    ids: dict[str, int | list[int]] = {}
    for ours, theirs in _TOKENS.items():
        number = special_id(metadata, ours)
        if number is not None:
            ids[f"{theirs}_token_id"] = number
    ends = hf_end_ids(metadata)
    if ends is not None:
        ids["eos_token_id"] = ends
    return ids
