"""Hugging Face folders: config.json, safetensors or pytorch_model*.bin, a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.conversion import names, permute
from ggmlkit.conversion.hparams import Hparams, from_hf_config
from ggmlkit.conversion.source import Source, checkpoint_source, read_json
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.safetensors import open_safetensors
from ggmlkit.io.torch_checkpoint import open_torch
from ggmlkit.tensor import Tensor

_LONGEST_NAME = 200  # characters; systems allow some 250 bytes
# Whole file first, then the index of a split one; safetensors before pickles.
_WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


def open_hf_folder(folder: Path) -> Source:
    """The model in a folder that ``save_pretrained`` wrote (LLaMA family).

    Raises ConversionError, naming the setting or tensor, for what a LLaMA decoder lacks;
    FormatError for damaged files and an index that points out of the folder.
    """
    config = read_json(folder / "config.json")
    try:
        hparams = from_hf_config(config)
    except ConversionError as error:
        raise ConversionError(f"{folder / 'config.json'}: {error}") from None
    own_names, files = _open_weights(folder)
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
            found[name] = _reordered(name, tensor, hparams).renamed(name)
        except ConversionError as error:
            raise ConversionError(f"{folder}: {error}") from None
    return found


def _reordered(name: str, tensor: Tensor, hparams: Hparams) -> Tensor:
    """Queries and keys in Meta's row order, anything else as it is."""
    if name.endswith(".attn_q.weight"):
        return permute.hf_to_meta(tensor, hparams.heads)
    if name.endswith(".attn_k.weight"):
        return permute.hf_to_meta(tensor, hparams.kv_heads)
    return tensor


def _open_weights(folder: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    for whole, index in _WEIGHTS:
        if (folder / whole).is_file():
            file = _open(folder / whole)
            return file.tensors, [file]
        if (folder / index).is_file():
            return _open_indexed(folder, folder / index)
    raise ConversionError(f"{folder} has neither model.safetensors nor pytorch_model.bin")


def _open_indexed(folder: Path, index: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(index, None, "there is no weight_map")
    files: dict[str, ModelFile] = {}
    tensors: dict[str, Tensor] = {}
    for name, file_name in weight_map.items():
        if not _is_plain_file_name(file_name):
            raise FormatError(index, None, f"{file_name!r} is not the name of a file beside it")
        if file_name not in files:
            if not (folder / file_name).is_file():
                raise ConversionError(f"{folder / file_name} is missing")
            files[file_name] = _open(folder / file_name)
        if name not in files[file_name]:
            raise FormatError(index, None, f"tensor {name!r} is not in {file_name}")
        tensors[name] = files[file_name][name]
    return tensors, list(files.values())


def _is_plain_file_name(name: object) -> bool:
    if not isinstance(name, str) or name in ("", ".", ".."):
        return False
    return len(name) <= _LONGEST_NAME and not any(character in name for character in "/\\:\0")


def _open(path: Path) -> ModelFile:
    return open_safetensors(path) if path.suffix == ".safetensors" else open_torch(path)


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
