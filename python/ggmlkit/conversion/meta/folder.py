"""Meta's folders: consolidated.NN.pth in one or several shards, params.json, a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.meta_params import from_meta_params
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.source import Source, checkpoint_source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.torch.checkpoint import open_torch
from ggmlkit.tensor import Tensor

# Of these each shard holds some of the inputs (columns), of others some of the outputs (rows).
_SPLIT_BY_COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight")


def open_meta_folder(folder: Path, _block_type: str | None = None) -> Source:
    """The model in a folder as Meta distributes it; shards are merged as they are read.

    Raises ConversionError for missing shards or shapes that do not fit params.json, FormatError
    for damaged files.
    """
    params = read_json(folder / "params.json")
    files = [open_torch(path) for path in _shard_paths(folder)]
    return meta_source(folder, params, {file.path.name: file for file in files}, list(files))


def meta_source(
    folder: Path,
    params: Mapping[str, Any],
    shards: Mapping[str, Mapping[str, Tensor]],
    files: list[ModelFile],
) -> Source:
    """The Source of a checkpoint whose tensors have Meta's names and row order.

    Args:
        folder: where the tokenizer lies.
        params: the content of params.json.
        shards: the tensors of each shard by their names, by the name of its file.
        files: open files behind the tensors.

    Raises ConversionError, naming the setting or tensor, for what does not fit.
    """
    dim = params.get("dim")
    first, *_ = shards.values()
    merged: dict[str, Tensor] = {}
    for own_name in first:
        if names.is_derived(own_name):
            continue
        name = names.to_gguf(own_name)
        if name is None or names.to_meta(name) != own_name:
            raise ConversionError(f"{folder}: no place for the tensor {own_name}")
        missing = [file for file, shard in shards.items() if own_name not in shard]
        if missing:
            raise ConversionError(f"{folder}: {missing[0]} has no tensor {own_name}")
        parts = [shard[own_name] for shard in shards.values()]
        merged[name] = _merged(own_name, parts, dim).renamed(name)
    for needed in (names.EMBEDDINGS, "blk.0.ffn_gate.weight"):
        if needed not in merged or len(merged[needed].shape) != 2:
            raise ConversionError(f"{folder}: there is no matrix {names.to_meta(needed)}")
    try:
        hparams = from_meta_params(
            params,
            vocab=merged[names.EMBEDDINGS].shape[0],
            ffn=merged["blk.0.ffn_gate.weight"].shape[0],
            tied=names.OUTPUT not in merged,
        )
    except ConversionError as error:
        raise ConversionError(f"{folder / 'params.json'}: {error}") from None
    return checkpoint_source(folder, hparams, merged, files, special={})


def _shard_paths(folder: Path) -> list[Path]:
    found = sorted(folder.glob("consolidated.[0-9][0-9].pth"))
    if not found:
        raise ConversionError(f"{folder} has no consolidated.00.pth")
    for number, path in enumerate(found):
        if path.name != f"consolidated.{number:02}.pth":
            raise ConversionError(f"{folder}: the shard consolidated.{number:02}.pth is missing")
    return found


def _merged(name: str, parts: Sequence[Tensor], dim: object) -> Tensor:
    first = parts[0]
    if len(parts) == 1 or len(first.shape) == 1:
        return first  # vectors are repeated in every shard
    axis = 0
    if name.endswith(_SPLIT_BY_COLUMNS):
        axis = 1
    elif name == "tok_embeddings.weight" and first.shape[-1] != dim:
        axis = 1  # Llama 1 and 2; Llama 3 splits the vocabulary
    if any(p.type != first.type or len(p.shape) != 2 for p in parts):
        raise ConversionError(f"the shards of {name} differ in type")
    if any(p.shape[1 - axis] != first.shape[1 - axis] for p in parts):
        raise ConversionError(f"the shards of {name} differ in shape")
    shape = list(first.shape)
    shape[axis] = sum(p.shape[axis] for p in parts)

    def data() -> npt.NDArray[np.uint8]:
        rows = [p.data.reshape(p.shape[0], -1) for p in parts]
        return np.concatenate(rows, axis=axis).reshape(-1)

    return Tensor(first.type, tuple(shape), data, first.name, parts)
