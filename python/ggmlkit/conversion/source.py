"""What every kind of input becomes: gguf metadata and lazy gguf-named tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.conversion import names
from ggmlkit.conversion.gguf_keys import from_metadata
from ggmlkit.conversion.hparams import Hparams
from ggmlkit.conversion.hub_source import hub_source
from ggmlkit.conversion.tokenizer_files import folder_vocabulary
from ggmlkit.conversion.view import as_gguf
from ggmlkit.errors import ConversionError, GgmlkitError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.hub import hub_path, is_on_hub
from ggmlkit.io.tensors_file import TensorsFile
from ggmlkit.tensor import Tensor

# The file that marks a folder, and the module and function that open one.
_FOLDERS = (
    ("config.json", "hf_folder:open_hf_folder"),
    ("params.json", "meta_folder:open_meta_folder"),
)
# Who opens files that have their settings beside them.
_LOOSE_FILE = "loose_file:open_loose_file"


@dataclass
class Source:
    """A model about to be written in another form; close it after use.

    Attributes:
        path: the file or folder it came from.
        metadata: gguf keys.
        tensors: by gguf name, in Meta's row order, lazy.
        files: open files behind the tensors.
        special: token ids that the checkpoint's own configuration gives.
        value_types: GGUF types to keep of metadata that was read, by key.
        vocabulary_fault: why there is no vocabulary, or it cannot be used; None if all is well.
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


def open_source(
    path: str | os.PathLike[str], *, wanted: str | None = None, needs_vocabulary: bool = True
) -> Source:
    """Open a checkpoint folder, a file of tensors with its settings beside it, or a model file.

    Args:
        path: the folder or file, or such a thing on the hub.
        wanted: a type of blocks that layers quantized by GPTQ or AWQ shall have where it holds
            their integers as they are; otherwise these have float values.
        needs_vocabulary: without, a checkpoint may lack a tokenizer or have one that cannot be
            used.


    Raises FormatError for damaged files, ConversionError for what is not supported, HubError for
    what the hub does not give.
    """
    on_hub = is_on_hub(path)
    source = _opened(hub_source(path) if on_hub else Path(path), wanted)
    if needs_vocabulary and source.vocabulary_fault is not None:
        source.close()
        raise source.vocabulary_fault
    if on_hub and source.path.is_dir():
        source.metadata["general.name"] = hub_path(path).name
    return source


def _opened(path: Path, wanted: str | None) -> Source:
    from ggmlkit import io

    if path.is_dir():
        for mark, opener in _FOLDERS:
            if (path / mark).is_file():
                return _function(opener)(path, wanted)
        raise ConversionError(
            f"{path} has neither config.json (Hugging Face) nor params.json (Meta)"
        )
    file = io.open(path)
    try:
        if isinstance(file, TensorsFile):
            return _function(_LOOSE_FILE)(file, wanted)
        metadata, tensors = as_gguf(file)
    except BaseException:
        file.close()
        raise
    return Source(path, metadata, tensors, [file], value_types=dict(file.value_types))


def _function(opener: str) -> Callable[[Any, str | None], Source]:
    module, _, name = opener.partition(":")
    found: Callable[[Any, str | None], Source] = getattr(
        import_module(f"ggmlkit.conversion.{module}"), name
    )
    return found


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
    vocabulary, fault = _vocabulary(path, hparams.vocab, special)
    metadata = {**hparams.metadata(), "general.name": path.resolve().name, **vocabulary}
    return Source(path, metadata, tensors, files, special, vocabulary_fault=fault)


def _vocabulary(
    path: Path, n_vocab: int, special: Mapping[str, int]
) -> tuple[dict[str, Any], GgmlkitError | None]:
    """The folder's vocabulary, or why there is none: another may be given in its place."""
    try:
        return folder_vocabulary(path, n_vocab, special), None
    except GgmlkitError as error:
        return {}, error
