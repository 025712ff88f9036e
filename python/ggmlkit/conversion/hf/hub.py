"""The files of a repository on the hub that make a model; no others are downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ggmlkit.conversion.json_file import read_json
from ggmlkit.errors import FormatError, HubError
from ggmlkit.io.hub import Repository, hub_path, repository

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

    If no file is named, it is the configuration, the tokenizer and one form of the weights, or
    else the only gguf model. Raises HubError for what is not there, FormatError for an index of
    weights that points out of the repository.
    """
    place = hub_path(path)
    repo = repository(place)
    if place.file is not None:
        return repo.downloaded_parts(place.file)
    weights = _weights(repo)
    if weights:
        files = [*_present(repo, _SETTINGS), *_present(repo, _TOKENIZER), *weights]
        return [repo.downloaded(file) for file in files].pop().parent
    model = repo.only_model()
    if model is None:
        raise HubError(f"{place} holds no model: neither config.json with weights, nor a gguf file")
    return repo.downloaded_parts(model)


def _present(repo: Repository, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in repo.files]


def _weights(repo: Repository) -> list[str]:
    """The files of weights to download; none if this is not a checkpoint folder."""
    forms = _present(repo, _WEIGHTS)
    if "config.json" in repo.files and forms:
        form = forms[0]
        return [form, *_shards(repo.downloaded(form))] if form.endswith(".json") else [form]
    if "params.json" in repo.files:
        return sorted(filter(_META_WEIGHTS.fullmatch, repo.files))
    return []


def _shards(index: Path) -> list[str]:
    """The files that an index of weights names, each in the repository's own folder."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(index, None, "there is no weight_map")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\:\0]{1,200}", name) or ".." in name:
            shown = repr(name)[:80]
            raise FormatError(index, None, f"{shown} is not the name of a file beside it")
    return names
