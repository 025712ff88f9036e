"""Checkpoints written as Hugging Face folders that have another's configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from ggmlkit.conversion.source import read_json
from ggmlkit.io.atomic import replacing
from ggmlkit.io.safetensors import safetensors_header
from ggmlkit.io.stream import write_tensors
from ggmlkit.tensor import Tensor

_TORCH_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
# Files beside the weights that go with them as they are.
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
    progress: Callable[..., None] | None = None,
) -> None:
    """Write model.safetensors, and config.json and the tokenizer of another folder beside it.

    All files are complete before the first takes its place; config.json is the last to.

    Args:
        out: the folder, made if need be.
        tensors: of types f32, f16 and bf16 by their names in the checkpoint, read one at a time.
        companion: the folder that the other files come from.
        dtype: what config.json shall say that the weights are; None leaves it as it is.
        progress: as ``gk.save`` calls it.
    """
    config = read_json(companion / "config.json")
    for key in ("dtype", "torch_dtype"):
        if dtype is not None and key in config:
            config[key] = _TORCH_DTYPES[dtype]
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        # Left in the opposite order: what was entered first is put in its place last.
        with ExitStack() as files:
            config_file = files.enter_context(replacing(out / "config.json"))
            config_file.write(json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
            for name in _COMPANIONS:
                if (companion / name).is_file():
                    file = files.enter_context(replacing(out / name))
                    file.write((companion / name).read_bytes())
            weights = files.enter_context(replacing(out / "model.safetensors"))
            _write_weights(weights, tensors, progress)
    except BaseException:
        if is_new:
            with suppress(OSError):  # somebody else has put something there
                out.rmdir()
        raise


def _write_weights(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    progress: Callable[..., None] | None,
) -> None:
    header = safetensors_header(
        [(name, tensor.type.name, tensor.shape) for name, tensor in tensors.items()],
        {"format": "pt"},
    )
    file.write(header)
    placed, offset = [], len(header)
    for name, tensor in tensors.items():
        placed.append((offset, name, tensor))
        offset += tensor.nbytes
    file.truncate(offset)
    write_tensors(file, placed, progress=progress)
