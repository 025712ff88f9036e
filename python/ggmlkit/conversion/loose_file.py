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
from ggmlkit.conversion.prefixes import Named, Way, own_names
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.foreign.onnx import OnnxFile
from ggmlkit.io.torch.checkpoint import TorchFile
from ggmlkit.lazy import permuted as permute
from ggmlkit.tensor import Tensor

_FILES: dict[Way, str] = {"hf": "config.json", "meta": "params.json"}
_MARKS: dict[Way, frozenset[str]] = {
    "hf": frozenset({"hidden_size", "num_attention_heads"}),
    "meta": frozenset({"dim", "n_layers", "n_heads"}),
}


def open_loose_file(file: ModelFile, wanted: str | None = None) -> Source:
    """The model whose weights a file holds.

    config.json, or params.json, and the tokenizer lie beside it; a PyTorch checkpoint may have the
    former inside, as plain ``hyper_parameters``.

    Args:
        file: open, of a container that holds tensors alone.
        wanted: a type of blocks that quantized layers shall have where it holds them as they are.

    Raises ConversionError where these are missing, or a tensor has no place.
    """
    folder = file.path.parent
    tensors = _by_module(file)
    named = own_names(file.path, _plain_weights(folder, tensors, wanted))
    way, settings = _settings(file, named.way)
    if way == "meta" and named.way == "hf":
        raise ConversionError(
            f"{file.path} has Hugging Face's names: it needs the model's config.json beside it"
        )
    if way == "meta":
        return meta_source(folder, settings, {file.path.name: named.tensors}, [file])
    own = named.tensors if named.way == "hf" else _in_hf_words(file.path, named, settings)
    return hf_source(folder, settings, own, [file])


def _by_module(file: ModelFile) -> Mapping[str, Tensor]:
    if isinstance(file, OnnxFile):
        return graph_names.by_module(file)
    if file.container in ("flax", "hdf5", "tensorflow"):
        return layer_paths.by_module(file.tensors)
    return file.tensors


def _plain_weights(
    folder: Path, tensors: Mapping[str, Tensor], wanted: str | None
) -> Mapping[str, Tensor]:
    """The tensors, quantized layers as their weights."""
    if not any(name.endswith(".qweight") for name in tensors):
        return tensors
    config = folder / _FILES["hf"]
    how = quantized(folder, read_json(config) if config.is_file() else {})
    return tensors if how is None else how.weights(tensors, wanted)


def _settings(file: ModelFile, way: Way) -> tuple[Way, dict[str, Any]]:
    """Whose words the hyper-parameters are in, those of the tensors' names before others."""
    ways: list[Way] = ["hf", "meta"] if way == "hf" else ["meta", "hf"]
    for one in ways:
        beside = file.path.parent / _FILES[one]
        if beside.is_file():
            found = read_json(beside)
            return one, {key: v for key, v in found.items() if key != "quantization_config"}
    inside = list(_nested(file.settings)) if isinstance(file, TorchFile) else []
    for one in ways:
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


def _in_hf_words(path: Path, named: Named, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors of Meta's names and order in Hugging Face's, of which config.json speaks."""
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
