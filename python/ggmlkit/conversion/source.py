"""What every kind of input becomes: gguf metadata and lazy gguf-named tensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.conversion import names
from ggmlkit.conversion.gguf_keys import from_metadata
from ggmlkit.conversion.hparams import Hparams
from ggmlkit.conversion.tokenizer_files import folder_vocabulary
from ggmlkit.conversion.view import as_gguf
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor


@dataclass
class Source:
    """A model about to be written in another form; close it after use.

    Attributes:
        path: the file or folder it came from.
        metadata: gguf keys.
        tensors: by gguf name, in Meta's row order, lazy.
        files: open files behind the tensors.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    files: list[ModelFile] = field(default_factory=list)

    def close(self) -> None:
        for file in self.files:
            file.close()

    def hparams(self) -> Hparams:
        """The hyper-parameters, from the metadata and what the tensors show."""
        embedding = self.tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            raise ConversionError(f"{self.path}: there is no matrix token_embd.weight")
        rope = {n: self.tensors[n].dequantize() for n in names.ROPE_TENSORS if n in self.tensors}
        is_long = names.ROPE_SHORT in rope and names.ROPE_LONG in rope
        return from_metadata(
            self.metadata,
            vocab=embedding.shape[0],
            tied="output.weight" not in self.tensors,
            rope_divisors=rope.get(names.ROPE_FREQS),
            long_rope=(rope[names.ROPE_SHORT], rope[names.ROPE_LONG]) if is_long else None,
            names=self.tensors,
        )


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a Hugging Face folder, a Meta folder or a model file.

    Raises FormatError for damaged files, ConversionError for what is not supported.
    """
    from ggmlkit import io
    from ggmlkit.conversion.hf_folder import open_hf_folder
    from ggmlkit.conversion.meta_folder import open_meta_folder

    path = Path(path)
    if path.is_dir():
        if (path / "config.json").is_file():
            return open_hf_folder(path)
        if (path / "params.json").is_file():
            return open_meta_folder(path)
        raise ConversionError(
            f"{path} has neither config.json (Hugging Face) nor params.json (Meta)"
        )
    file = io.open(path)
    try:
        metadata, tensors = as_gguf(file)
    except BaseException:
        file.close()
        raise
    return Source(path, metadata, tensors, [file])


def checkpoint_source(
    path: Path,
    hparams: Hparams,
    found: Mapping[str, Tensor],
    files: list[ModelFile],
    special: Mapping[str, int],
) -> Source:
    """A Source of a checkpoint's gguf-named tensors, every name and shape checked.

    Adds the tensors of divisors that the rotation needs, and the folder's vocabulary; ``special``
    is for token ids that config.json gives.
    """
    rope = hparams.rope_tensors()
    tensors: dict[str, Tensor] = {}
    for name, shape in hparams.shapes():
        if name in rope:
            tensors[name] = Tensor("f32", shape, rope[name].view(np.uint8), name)
            continue
        tensor = found.get(name)
        if tensor is None:
            raise ConversionError(f"{path}: the checkpoint has no tensor {name}")
        if tensor.shape != shape:
            raise ConversionError(
                f"{path}: {name} has shape {tensor.shape}, but {shape} by the hyper-parameters"
            )
        tensors[name] = tensor
    if unused := sorted(found.keys() - tensors.keys()):
        raise ConversionError(f"{path}: no place for the tensor {unused[0]}")
    # Only now is it certain that the number of tokens is that of the embeddings.
    vocabulary = folder_vocabulary(path, hparams.vocab, special)
    metadata = {**hparams.metadata(), "general.name": path.resolve().name, **vocabulary}
    return Source(path, metadata, tensors, files)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; FormatError if it is damaged, ConversionError if it is missing."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConversionError(f"{path} is missing") from None
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(path, None, "not a JSON object")
    return value
