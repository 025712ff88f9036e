"""Hugging Face folders written with another folder's configuration and tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ggmlkit.conversion.checkpoint_files import (
    SHARD_SIZE,
    check_no_other_checkpoint,
    shards,
    write_json,
    write_shards,
)
from ggmlkit.conversion.float_tensors import TORCH_DTYPES
from ggmlkit.conversion.json_file import read_json
from ggmlkit.io.writing.atomic import replacing_together
from ggmlkit.tensor import Tensor

# Files beside the weights that are copied unchanged.
_COMPANIONS = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)


def write_hf_folder(
    out: Path,
    tensors: Mapping[str, Tensor],
    companion: Path,
    *,
    dtype: str | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write safetensors, with config.json and the tokenizer of another folder beside them.

    All files are complete before the first is renamed into place; config.json is the last.

    Args:
        out: the folder, created if needed.
        tensors: of types f32, f16 and bf16 by their names in the checkpoint, read one at a time.
        companion: the folder that the other files come from.
        dtype: the type of the weights to write into config.json; None leaves it unchanged.
        threads: to read, convert and write with; all the process may use when None.
        progress: as ``gk.save`` calls it.
    """
    config = read_json(companion / "config.json")
    for key in ("dtype", "torch_dtype"):
        if dtype is not None and key in config:
            config[key] = TORCH_DTYPES[dtype]
    kept = [name for name in _COMPANIONS if (companion / name).is_file()]
    files, index = shards(tensors, SHARD_SIZE)
    texts: dict[str, Any] = {"config.json": config}
    if index is not None:
        texts["model.safetensors.index.json"] = index
    check_no_other_checkpoint(out, {*texts, *kept, *files})
    with replacing_together(out, last="config.json") as file_set:
        for name, value in texts.items():
            write_json(file_set, name, value)
        for name in kept:
            with file_set.writing(name) as file:
                file.write((companion / name).read_bytes())
        write_shards(file_set, files, threads, progress)
