"""Model files written out as checkpoint folders: Hugging Face's layout, or Meta's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.conversion import names
from ggmlkit.conversion.hf_config import to_hf_config
from ggmlkit.conversion.hf_model import hf_values
from ggmlkit.conversion.hparams import Hparams
from ggmlkit.conversion.meta_params import to_meta_params
from ggmlkit.conversion.pipeline import finite
from ggmlkit.conversion.source import Source, open_source
from ggmlkit.conversion.tokenizer_files import tokenizer_config, tokenizer_json
from ggmlkit.errors import ConversionError
from ggmlkit.io.atomic import replacing
from ggmlkit.io.safetensors import safetensors_header
from ggmlkit.io.stream import write_data
from ggmlkit.io.torch_writer import write_torch
from ggmlkit.tensor import Tensor

_TORCH_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_TOKENS = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}  # gguf: Hugging Face


def export(
    src: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    format: Literal["hf", "meta"] | str = "hf",
    dtype: str = "f32",
    *,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write the model in ``src`` as a checkpoint folder, quantized tensors as their exact values.

    Args:
        src: any model file ``gk.open`` reads, or a checkpoint folder.
        out_dir: the folder, made if need be; files in it of the same names are replaced.
        format: ``"hf"``: config.json, generation_config.json, model.safetensors, tokenizer.json,
            tokenizer_config.json. ``"meta"``: params.json, consolidated.00.pth, tokenizer.json.
        dtype: ``"f32"`` (exact), ``"f16"`` or ``"bf16"`` (rounded) for all tensors.
        threads: at most this many; all the process may use when None.
        progress: called with (bytes written, bytes in all, tensor name) after each tensor.

    Raises:
        ConversionError: the layout cannot hold the model, or the values do not fit ``dtype``.
        FormatError: the input is damaged.
    """
    if dtype not in _TORCH_DTYPES:
        raise ConversionError(f"dtype {dtype!r} is not one of {', '.join(_TORCH_DTYPES)}")
    writers = {"hf": _write_hf, "meta": _write_meta}
    if format not in writers:
        raise ConversionError(f"format {format!r} is not one of {', '.join(writers)}")
    folder = Path(out_dir)
    with closing(open_source(src)) as source:
        hparams = source.hparams()
        if format == "hf":
            source.tensors = hf_values(source.tensors, hparams)
        tensors = _float_tensors(source, dtype, threads, progress)
        folder.mkdir(parents=True, exist_ok=True)
        writers[format](folder, source, hparams, tensors)


def _float_tensors(
    source: Source, dtype: str, threads: int | None, progress: Callable[..., None] | None
) -> dict[str, Tensor]:
    """All tensors in one float type, lazy; each reports when its data is taken."""
    from ggmlkit.quantization.file import in_type

    target = types.get(dtype)
    kept = {
        name: finite(in_type(tensor, target, threads))
        for name, tensor in source.tensors.items()
        if name not in names.ROPE_TENSORS
    }
    total = sum(tensor.nbytes for tensor in kept.values())
    done = 0

    def reporting(tensor: Tensor) -> Tensor:
        def data() -> npt.NDArray[np.uint8]:
            nonlocal done
            found = tensor.data
            done += found.nbytes
            if progress is not None:
                progress(done, total, tensor.name)
            return found

        return Tensor(tensor.type, tensor.shape, data, tensor.name, [tensor])

    return {name: reporting(tensor) for name, tensor in kept.items()}


# ---------------------------------------------------------------- Hugging Face


def _write_hf(
    folder: Path, source: Source, hparams: Hparams, tensors: Mapping[str, Tensor]
) -> None:
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        own_name = _own_name(lambda name: names.to_hf(name, hparams.architecture), name)
        own[own_name] = tensor.renamed(own_name)
    dtype = _TORCH_DTYPES[next(iter(tensors.values())).type.name]
    ids = _token_ids(source.metadata)
    _write_json(folder / "config.json", {**to_hf_config(hparams), **ids, "torch_dtype": dtype})
    _write_json(folder / "generation_config.json", ids)
    _write_tokenizer(folder, source.metadata)
    header = safetensors_header(
        [(name, t.type.name, t.shape) for name, t in own.items()], {"format": "pt"}
    )
    with replacing(folder / "model.safetensors") as file:
        file.write(header)
        for tensor in own.values():
            write_data(file, tensor)


def _token_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    ids = {}
    for ours, theirs in _TOKENS.items():
        value = metadata.get(f"tokenizer.ggml.{ours}_token_id")
        if value is not None and theirs != "unk":
            ids[f"{theirs}_token_id"] = int(value)
    return ids


def _write_tokenizer(folder: Path, metadata: Mapping[str, Any]) -> None:
    if "tokenizer.ggml.tokens" not in metadata:
        return
    _write_json(folder / "tokenizer.json", tokenizer_json(metadata))
    _write_json(folder / "tokenizer_config.json", tokenizer_config(metadata))


# ------------------------------------------------------------------------ Meta


def _write_meta(
    folder: Path, source: Source, hparams: Hparams, tensors: Mapping[str, Tensor]
) -> None:
    params = to_meta_params(hparams)  # it knows better what is wrong than a tensor's name
    own = {_own_name(names.to_meta, name): tensor for name, tensor in tensors.items()}
    _write_json(folder / "params.json", params)
    _write_tokenizer(folder, source.metadata)
    with replacing(folder / "consolidated.00.pth") as file:
        write_torch(file, own)


def _own_name(translated: Callable[[str], str | None], name: str) -> str:
    own_name = translated(name)
    if own_name is None:
        raise ConversionError(f"the layout has no name for the tensor {name}")
    return own_name


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
