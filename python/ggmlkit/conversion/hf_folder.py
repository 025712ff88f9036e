"""Hugging Face folders: config.json, safetensors or pytorch_model*.bin, a tokenizer."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.conversion.hf_model import hf_source
from ggmlkit.conversion.source import Source, read_json
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
    own_names, files = open_weights(folder)
    return hf_source(folder, config, own_names, files)


def open_weights(folder: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    """The tensors of a folder by their own names, lazy, and the files they are in.

    Raises ConversionError where there are none, FormatError as :func:`open_hf_folder`.
    """
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
