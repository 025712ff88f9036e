"""Hugging Face folders: config.json, weights in one of several formats, a tokenizer."""

from __future__ import annotations

from pathlib import Path

from ggmlkit import io
from ggmlkit.conversion.hf.model import hf_source
from ggmlkit.conversion.hf.quantized_layers import quantized
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.layer_paths import by_module
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.file_names import is_plain_file_name
from ggmlkit.tensor import Tensor

# Whole file first, then the index of a split one; safetensors before pickles.
_WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
    ("flax_model.msgpack", "flax_model.msgpack.index.json"),
)


def open_hf_folder(folder: Path, block_type: str | None = None) -> Source:
    """The model in a folder that ``save_pretrained`` wrote.

    Args:
        folder: with config.json, weights and a tokenizer.
        block_type: what to give quantized layers, where it can hold their integers exactly.

    Raises ConversionError, naming the setting or tensor, for what is not supported; FormatError
    for damaged files and an index that points out of the folder.
    """
    config = read_json(folder / "config.json")
    own_names, files = open_weights(folder)
    quantization = quantized(folder, config)
    if quantization is not None:
        own_names = quantization.weights(own_names, block_type)
        config = {key: value for key, value in config.items() if key != "quantization_config"}
    return hf_source(folder, config, own_names, files)


def open_weights(folder: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    """The tensors of a folder by the names of PyTorch's modules, lazy, and the files they are in.

    Raises ConversionError if there are none, FormatError as :func:`open_hf_folder`.
    """
    tensors, files = _open_named(folder)
    return by_module(tensors) if files[0].container == "flax" else tensors, files


def _open_named(folder: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    for whole, index in _WEIGHTS:
        if (folder / whole).is_file():
            return _open_whole(folder / whole)
        if (folder / index).is_file():
            return _open_indexed(folder, folder / index)
    # GPTQ's tools name the one file after the bits and the group size.
    found = list(folder.glob("*.safetensors"))
    if len(found) == 1 and not any(folder.glob("*.index.json")):
        return _open_whole(found[0])
    names = ", ".join(whole for whole, _ in _WEIGHTS[:-1])
    raise ConversionError(f"{folder} has neither {names} nor {_WEIGHTS[-1][0]}")


def _open_whole(path: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    file = io.open(path)
    return file.tensors, [file]


def _open_indexed(folder: Path, index: Path) -> tuple[dict[str, Tensor], list[ModelFile]]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(index, None, "there is no weight_map")
    files: dict[str, ModelFile] = {}
    tensors: dict[str, Tensor] = {}
    for name, file_name in weight_map.items():
        if not is_plain_file_name(file_name):
            raise FormatError(index, None, f"{file_name!r} is not the name of a file beside it")
        if file_name not in files:
            if not (folder / file_name).is_file():
                raise ConversionError(f"{folder / file_name} is missing")
            files[file_name] = io.open(folder / file_name)
        if name not in files[file_name]:
            raise FormatError(index, None, f"tensor {name!r} is not in {file_name}")
        tensors[name] = files[file_name][name]
    return tensors, list(files.values())
