"""One file of tensors, its hyper-parameters and tokenizer beside it, or saved with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.hf_config import from_hf_config
from ggmlkit.conversion import graph_names, layer_paths
from ggmlkit.conversion.hf.model import hf_source
from ggmlkit.conversion.hf.quantized_layers import quantized
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.meta.folder import meta_source
from ggmlkit.conversion.prefixes import NamedTensors, Naming, own_names
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.foreign.onnx import OnnxFile
from ggmlkit.io.torch.checkpoint import TorchFile
from ggmlkit.lazy import permuted as permute
from ggmlkit.tensor import Tensor

_FILES: dict[Naming, str] = {"hf": "config.json", "meta": "params.json"}
_MARKS: dict[Naming, frozenset[str]] = {
    "hf": frozenset({"hidden_size", "num_attention_heads"}),
    "meta": frozenset({"dim", "n_layers", "n_heads"}),
}


def open_loose_file(file: ModelFile, block_type: str | None = None) -> Source:
    """The model whose weights a file holds.

    config.json (or params.json) and the tokenizer lie beside it. A PyTorch checkpoint can have the
    settings inside instead, as plain ``hyper_parameters``.

    Args:
        file: an open file, of a container that holds only tensors.
        block_type: what to give quantized layers, where it can hold their integers exactly.

    Raises ConversionError if the settings are missing, or a tensor has no place in the model.
    """
    folder = file.path.parent
    tensors = _by_module(file)
    named = own_names(file.path, _plain_weights(folder, tensors, block_type))
    naming, settings = _settings(file, named.naming)
    if naming == "meta" and named.naming == "hf":
        raise ConversionError(
            f"{file.path} has Hugging Face's names, so it needs the model's config.json beside it"
        )
    if naming == "meta":
        return meta_source(folder, settings, {file.path.name: named.tensors}, [file])
    own = named.tensors if named.naming == "hf" else _with_hf_names(file.path, named, settings)
    return hf_source(folder, settings, own, [file])


def _by_module(file: ModelFile) -> Mapping[str, Tensor]:
    if isinstance(file, OnnxFile):
        return graph_names.by_module(file)
    if file.container in ("flax", "hdf5", "tensorflow"):
        return layer_paths.by_module(file.tensors)
    return file.tensors


def _plain_weights(
    folder: Path, tensors: Mapping[str, Tensor], block_type: str | None
) -> Mapping[str, Tensor]:
    """The tensors, with quantized layers replaced by their weights."""
    if not any(name.endswith(".qweight") for name in tensors):
        return tensors
    config = folder / _FILES["hf"]
    quantization = quantized(folder, read_json(config) if config.is_file() else {})
    return tensors if quantization is None else quantization.weights(tensors, block_type)


def _settings(file: ModelFile, naming: Naming) -> tuple[Naming, dict[str, Any]]:
    """The hyper-parameters and whose names they use; those that suit the tensors come first."""
    namings: list[Naming] = ["hf", "meta"] if naming == "hf" else ["meta", "hf"]
    for one in namings:
        beside = file.path.parent / _FILES[one]
        if beside.is_file():
            found = read_json(beside)
            return one, {key: v for key, v in found.items() if key != "quantization_config"}
    inside = list(_nested(file.settings)) if isinstance(file, TorchFile) else []
    for one in namings:
        for found in inside:
            if found.keys() >= _MARKS[one]:
                return one, found
    raise ConversionError(
        f"{file.path} holds tensors only ({file.container}); put the model's config.json or "
        "params.json beside it, and its tokenizer"
    )


def _nested(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield settings
    for value in settings.values():
        if isinstance(value, dict):
            yield from _nested(value)


def _with_hf_names(path: Path, named: NamedTensors, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors with Meta's names and row order, given Hugging Face's, as config.json has them."""
    try:
        hparams = from_hf_config(config)
    except ConversionError as error:
        raise ConversionError(f"{path.parent / _FILES['hf']}: {error}") from None
    found: dict[str, Tensor] = {}
    for own_name, tensor in named.tensors.items():
        if names.is_derived(own_name):
            continue
        name = names.to_gguf(own_name)
        hf_name = None if name is None else names.to_hf(name)
        if name is None or hf_name is None:
            raise ConversionError(f"{path}: no place for the tensor {own_name}")
        try:
            if name.endswith(".attn_q.weight"):
                tensor = permute.meta_to_hf(tensor, hparams.heads)
            elif name.endswith(".attn_k.weight"):
                tensor = permute.meta_to_hf(tensor, hparams.kv_heads)
        except ConversionError as error:
            raise ConversionError(f"{path}: {error}") from None
        found[hf_name] = tensor.renamed(hf_name)
    return found
