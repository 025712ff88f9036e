"""Opens a LoRA adapter in any form: a PEFT folder, a gguf file, or a ggla file."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.conversion.lora.adapter import Adapter, AdapterPath, BaseModel
from ggmlkit.conversion.lora.files import file_adapter
from ggmlkit.conversion.lora.peft import PEFT_CONFIG, open_peft
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile


def opened_if_gguf(path: AdapterPath) -> AdapterPath | ModelFile:
    """The open file if it is gguf, because only its header says what it holds; else the path."""
    place = Path(path)
    if place.is_file():
        with place.open("rb") as file:
            magic = file.read(4)
        if magic == b"GGUF":
            return open_file(place)
    return path


def is_adapter(src: AdapterPath | ModelFile) -> bool:
    """Whether a folder or file is a LoRA adapter; a gguf file must be open."""
    if isinstance(src, ModelFile):
        return src.metadata.get("general.type") == "adapter"
    path = Path(src)
    if not path.is_file():
        return (path / PEFT_CONFIG).is_file()
    with path.open("rb") as file:
        return file.read(4) == b"algg"


def open_adapter(path: AdapterPath | ModelFile, base: BaseModel | None = None) -> Adapter:
    """Open a PEFT folder, or an adapter as a gguf or ggla file; only headers are read.

    Args:
        path: the folder or file, or the open file, which is closed with the adapter.
        base: the model that it is for. Only PEFT folders need it: the architecture decides what
            their tensors' names mean, and their rows of q and k are in Hugging Face's order, which
            depends on the number of heads. If None, the folder's own config.json or its base
            model's is read, if one is on this machine.

    Raises:
        FormatError: the file is damaged, or has only one half of an update.
        ConversionError: it is not an adapter, or has something that isn't supported, which the
            message names.
    """
    if not isinstance(path, ModelFile) and Path(path).is_dir():
        return open_peft(Path(path), base)
    file = path if isinstance(path, ModelFile) else open_file(path)
    try:
        return file_adapter(file)
    except BaseException:
        file.close()
        raise
