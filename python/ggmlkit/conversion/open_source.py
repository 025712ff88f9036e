"""Opens a model in any form: a checkpoint folder, a file of tensors, or a model file."""

from __future__ import annotations

import os
from pathlib import Path

from ggmlkit import io
from ggmlkit.conversion.hf.folder import open_hf_folder
from ggmlkit.conversion.hf.hub import hub_source
from ggmlkit.conversion.loose_file import open_loose_file
from ggmlkit.conversion.meta.folder import open_meta_folder
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.io.hub import hub_path, is_on_hub

# By the file that marks a folder.
_FOLDERS = {"config.json": open_hf_folder, "params.json": open_meta_folder}


def open_source(
    path: str | os.PathLike[str] | ModelFile,
    *,
    block_type: str | None = None,
    needs_vocabulary: bool = True,
) -> Source:
    """Open a checkpoint folder, a file of tensors with its settings beside it, or a model file.

    Args:
        path: the folder or file, or its name on the hub; or an open file, which is closed with the
            source.
        block_type: what to give layers quantized by GPTQ or AWQ, where it can hold their
            integers exactly; otherwise they become floats.
        needs_vocabulary: if False, a checkpoint is opened even without a tokenizer that can be
            used.

    Raises FormatError for damaged files, ConversionError for what is not supported, HubError for
    what cannot be downloaded.
    """
    if isinstance(path, ModelFile):
        source = _of_file(path, block_type)
    else:
        source = _opened(hub_source(path) if is_on_hub(path) else Path(path), block_type)
    if needs_vocabulary and source.vocabulary_fault is not None:
        source.close()
        raise source.vocabulary_fault
    if not isinstance(path, ModelFile) and is_on_hub(path) and source.path.is_dir():
        source.metadata["general.name"] = hub_path(path).name
    return source


def _opened(path: Path, block_type: str | None) -> Source:
    if path.is_dir():
        for mark, open_folder in _FOLDERS.items():
            if (path / mark).is_file():
                return open_folder(path, block_type)
        raise ConversionError(
            f"{path} has neither config.json (Hugging Face) nor params.json (Meta)"
        )
    return _of_file(io.open(path), block_type)


def _of_file(file: ModelFile, block_type: str | None) -> Source:
    try:
        if isinstance(file, TensorsFile):
            return open_loose_file(file, block_type)
        metadata, tensors = as_gguf(file)
    except BaseException:
        file.close()
        raise
    return Source(file.path, metadata, tensors, [file], value_types=dict(file.value_types))
