"""Opens whatever an adapter may come as."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.conversion.lora.adapter import Adapter, AdapterPath, BaseModel
from ggmlkit.conversion.lora.files import file_adapter
from ggmlkit.conversion.lora.peft import PEFT_CONFIG, open_peft
from ggmlkit.io import open as open_file


def is_adapter(path: AdapterPath) -> bool:
    """Whether a folder or file is a LoRA adapter; FormatError where it is a damaged gguf."""
    path = Path(path)
    if not path.is_file():
        return (path / PEFT_CONFIG).is_file()
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        return magic == b"algg"
    with open_file(path) as opened:
        return opened.metadata.get("general.type") == "adapter"


def open_adapter(path: AdapterPath, base: BaseModel | None = None) -> Adapter:
    """Open a PEFT folder, or an adapter as a gguf or ggla file; only headers are read.

    Args:
        path: the folder or file.
        base: the model that it is for, asked by PEFT folders alone: the architecture tells what
            their tensors' names mean, and their rows of q and k are in Hugging Face's order, which
            depends on the number of heads. Without, the folder's own config.json or its base
            model's tells, where one is at hand.

    Raises:
        FormatError: the file is damaged, or has half of a change.
        ConversionError: it is no adapter, or one with something that isn't supported; named.
    """
    path = Path(path)
    if path.is_dir():
        return open_peft(path, base)
    file = open_file(path)
    try:
        return file_adapter(file)
    except BaseException:
        file.close()
        raise
