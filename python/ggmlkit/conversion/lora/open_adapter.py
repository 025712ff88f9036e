"""Opens whatever an adapter may come as."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.conversion.lora.adapter import Adapter, AdapterPath, BaseModel
from ggmlkit.conversion.lora.files import file_adapter
from ggmlkit.conversion.lora.peft import PEFT_CONFIG, open_peft
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile


def opened_if_gguf(path: AdapterPath) -> AdapterPath | ModelFile:
    """The file, open, where it is gguf, whose header tells what it holds; else the path."""
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
        path: the folder or file, or the file open, which is closed with the adapter.
        base: the model that it is for, asked by PEFT folders alone: the architecture tells what
            their tensors' names mean, and their rows of q and k are in Hugging Face's order, which
            depends on the number of heads. Without, the folder's own config.json or its base
            model's tells, where one is at hand.

    Raises:
        FormatError: the file is damaged, or has half of a change.
        ConversionError: it is no adapter, or one with something that isn't supported; named.
    """
    if not isinstance(path, ModelFile) and Path(path).is_dir():
        return open_peft(Path(path), base)
    file = path if isinstance(path, ModelFile) else open_file(path)
    try:
        return file_adapter(file)
    except BaseException:
        file.close()
        raise
