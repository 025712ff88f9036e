"""The model that a PEFT adapter is for, from a config.json on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ggmlkit.arch.hf_config import from_hf_config
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.lora.adapter import BaseModel
from ggmlkit.errors import ConversionError
from ggmlkit.io.hub import cached_folder

_LONGEST_NAME = 4000


def base_at_hand(folder: Path, config: Mapping[str, Any]) -> BaseModel | None:
    """The model of a config.json beside the adapter, or the one that adapter_config.json names.

    The name is a folder, or a repository in huggingface_hub's cache; nothing is downloaded. None
    if neither is there. Raises ConversionError for a model that isn't supported.
    """
    for place in (folder, *_named(config)):
        path = place / "config.json"
        with suppress(OSError):  # a name that can't be a path
            if path.is_file():
                return _base_of(path)
    return None


def _base_of(config: Path) -> BaseModel:
    try:
        hparams = from_hf_config(read_json(config))
    except ConversionError as error:
        raise ConversionError(f"{config}: {error}") from None
    return BaseModel(hparams.architecture, lambda: hparams)


def _named(config: Mapping[str, Any]) -> Iterator[Path]:
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or "\0" in name:
        return
    yield Path(name)
    cached = cached_folder(name)
    if cached is not None:
        yield cached
