"""The files of a checkpoint folder: shards of weights, and JSON. Other checkpoints are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError
from ggmlkit.io.foreign.safetensors_writer import write_safetensors
from ggmlkit.io.writing.atomic import FileSet
from ggmlkit.io.writing.progress import shifted
from ggmlkit.io.writing.stream import Progress
from ggmlkit.tensor import Tensor

SHARD_SIZE = 5_000_000_000  # bytes: a size that suits the hub
# Files that readers of a folder look for. Those of another model must not lie among ours.
_CHECKPOINT_FILES = (
    "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.json",
    "consolidated.*.pth", "config.json", "params.json", "generation_config.json",
    "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip


def write_shards(
    file_set: FileSet,
    weights: Mapping[str, dict[str, Tensor]],
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Write safetensors files, given by name."""
    total = sum(tensor.nbytes for part in weights.values() for tensor in part.values())
    done = 0
    for name, part in weights.items():
        with file_set.writing(name) as file:
            write_safetensors(file, part, threads=threads, progress=shifted(progress, done, total))
        done += sum(tensor.nbytes for tensor in part.values())


def shards(
    tensors: Mapping[str, Tensor], size: int
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any] | None]:
    """The tensors of each file and, for several files, the index that says where each tensor is."""
    groups: list[dict[str, Tensor]] = [{}]
    taken = 0
    for name, tensor in tensors.items():
        if groups[-1] and taken + tensor.nbytes > size:
            groups.append({})
            taken = 0
        groups[-1][name] = tensor
        taken += tensor.nbytes
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}, None
    files = {
        f"model-{number + 1:05d}-of-{len(groups):05d}.safetensors": group
        for number, group in enumerate(groups)
    }
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {name: file for file, group in files.items() for name in group},
    }
    return files, index


def check_no_other_checkpoint(folder: Path, names: set[str]) -> None:
    """Refuse a folder with files of another checkpoint, which readers would take for part of it."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.name
        if name not in names and any(fnmatchcase(name, form) for form in _CHECKPOINT_FILES):
            raise ConversionError(
                f"{folder} has {name} of another checkpoint, which readers would mix with the new "
                "files; remove it or choose another folder"
            )


def write_json(file_set: FileSet, name: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    with file_set.writing(name) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
