"""Which files of a repository on the hub make a model, and no others."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ggmlkit.conversion.json_file import read_object
from ggmlkit.errors import FormatError, HubError
from ggmlkit.io.hub import (
    HubPath,
    downloaded,
    downloaded_parts,
    hub_path,
    only_model,
    repository_files,
)

_SETTINGS = (
    "config.json",
    "generation_config.json",
    "params.json",
    "quantize_config.json",
    "quant_config.json",
)
_TOKENIZER = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
# The form to take first where there are several: whole before split, safetensors before pickles.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "flax_model.msgpack",
)
_META_WEIGHTS = re.compile(r"consolidated\.\d\d\.pth")


def hub_source(path: str | os.PathLike[str]) -> Path:
    """The folder or file that ``hf:OWNER/NAME[@REVISION][:FILE]`` names, downloaded.

    A named file, else configuration, tokenizer and one form of the weights, else the only gguf
    model. Raises HubError for what is not there, FormatError for an index of weights that points
    out of the repository.
    """
    place = hub_path(path)
    if place.file is not None:
        return downloaded_parts(place, place.file)
    files = repository_files(place)
    weights = _weights(place, files)
    if weights:
        wanted = [*_present(files, _SETTINGS), *_present(files, _TOKENIZER), *weights]
        paths = [downloaded(place, file) for file in wanted]
        return paths[0].parent
    model = only_model(place, files)
    if model is None:
        raise HubError(f"{place} holds no model: neither config.json with weights, nor a gguf file")
    return downloaded_parts(place, model)


def _present(files: list[str], names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in files]


def _weights(place: HubPath, files: list[str]) -> list[str]:
    """The files of weights to download; none if this is no checkpoint folder."""
    if "config.json" in files:
        for name in _present(files, _WEIGHTS):
            return [name, *_shards(downloaded(place, name))] if name.endswith(".json") else [name]
    if "params.json" in files:
        return sorted(filter(_META_WEIGHTS.fullmatch, files))
    return []


def _shards(index: Path) -> list[str]:
    """The files that an index of weights names, each in the repository's own folder."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(index, None, "there is no weight_map")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\:\0]{1,200}", name) or ".." in name:
            shown = repr(name)[:80]
            raise FormatError(index, None, f"{shown} is not the name of a file beside it")
    return names
