"""A model from any kind of input: gguf metadata and lazy gguf-named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.arch.gguf_keys import from_gguf_keys, to_gguf_keys
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import ROPE_TENSORS
from ggmlkit.conversion.tokenizer_files import KEYS, folder_vocabulary, vocabulary_of
from ggmlkit.errors import ConversionError, GgmlkitError, HparamsError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf.string_lists import StoredValues
from ggmlkit.tensor import Tensor


@dataclass
class Source:
    """A model about to be written in another form; close it after use.

    Attributes:
        path: the file or folder it came from.
        metadata: gguf keys.
        tensors: by gguf name, in Meta's row order, lazy.
        files: open files behind the tensors.
        special: token ids from the checkpoint's own configuration.
        value_types: GGUF types of metadata that was read, by key; a written file keeps them.
        vocabulary_fault: why the vocabulary is missing or cannot be used; None if it can.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    files: list[ModelFile] = field(default_factory=list)
    special: Mapping[str, int] = field(default_factory=dict)
    value_types: dict[str, int] = field(default_factory=dict)
    vocabulary_fault: GgmlkitError | None = None

    def close(self) -> None:
        for file in self.files:
            file.close()

    def replace_vocabulary(self, path: Path) -> None:
        """Take the vocabulary of a tokenizer file, a folder that has one, or a model file."""
        found = vocabulary_of(path, self.hparams().vocab, self.special)
        kept = {k: v for k, v in self.metadata.items() if not k.startswith(KEYS)}
        self.metadata = {**kept, **found}
        kinds = {key: kind for key, kind in self.value_types.items() if key in kept}
        if isinstance(found, StoredValues):
            kinds |= {key: kind for key, kind in found.value_types.items() if key in found}
        self.value_types = kinds
        self.vocabulary_fault = None

    def hparams(self) -> Hparams:
        """The hyper-parameters, from the metadata and what the tensors show."""
        try:
            return from_gguf_keys(self.metadata, self.tensors)
        except HparamsError as error:
            raise HparamsError(f"{self.path}: {error}") from None

    def settings(self, writer: Callable[[Hparams], dict[str, Any]]) -> dict[str, Any]:
        """The hyper-parameters as another program has them; errors name the file."""
        hparams = self.hparams()
        try:
            return writer(hparams)
        except HparamsError as error:
            raise HparamsError(f"{self.path}: {error}") from None

    def check_tensors(self) -> None:
        """Raise ConversionError if one is missing, or has another shape than the model needs."""
        for name, shape in self.hparams().shapes():
            if name in ROPE_TENSORS:
                continue  # part of the hyper-parameters, which are checked
            tensor = self.tensors.get(name)
            if tensor is None:
                raise ConversionError(f"{self.path} has no tensor {name}")
            if tensor.shape != shape:
                raise ConversionError(
                    f"{self.path}: tensor {name} is {_sizes(tensor.shape)}, "
                    f"the model needs {_sizes(shape)}"
                )


def checkpoint_source(
    path: Path,
    hparams: Hparams,
    found: Mapping[str, Tensor],
    files: list[ModelFile],
    special: Mapping[str, int],
) -> Source:
    """A Source of a checkpoint's gguf-named tensors, every name and shape checked.

    Adds the rotation's tensors of factors, and the folder's vocabulary. ``special`` has the token
    ids of config.json.
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
                f"{path}: {name} has shape {tensor.shape}, but the hyper-parameters give {shape}"
            )
        tensors[name] = tensor
    if unused := sorted(found.keys() - tensors.keys()):
        raise ConversionError(f"{path}: no place for the tensor {unused[0]}")
    # The vocabulary is read after the check that the embeddings have its number of tokens.
    vocabulary, fault = _vocabulary(path, hparams.vocab, special)
    metadata = {**to_gguf_keys(hparams), "general.name": path.resolve().name, **vocabulary}
    return Source(path, metadata, tensors, files, special, vocabulary_fault=fault)


def _sizes(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _vocabulary(
    path: Path, n_vocab: int, special: Mapping[str, int]
) -> tuple[dict[str, Any], GgmlkitError | None]:
    """The folder's vocabulary, or why there is none; the user can give another in its place."""
    try:
        return folder_vocabulary(path, n_vocab, special), None
    except GgmlkitError as error:
        return {}, error
