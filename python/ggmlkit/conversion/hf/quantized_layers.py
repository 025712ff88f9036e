"""Checkpoints whose linear layers GPTQ or AWQ quantized, read as ordinary weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import read_json
from ggmlkit.errors import ConversionError
from ggmlkit.io.foreign.awq import gemm_matrix, gemv_matrix
from ggmlkit.io.foreign.gptq import gptq_matrix
from ggmlkit.io.foreign.group_quantized import Grouped
from ggmlkit.tensor import Tensor

_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_QUANTIZE_CONFIG = "quantize_config.json"  # AutoGPTQ's, older than config.json's setting
_GPTQ_VERSIONS = {None: 1, "gptq": 1, "gptq_v2": 2}
_AWQ_LAYOUTS = {None: gemm_matrix, "gemm": gemm_matrix, "gemv": gemv_matrix}


@dataclass(frozen=True)
class Quantized:
    """How the layers of a folder are stored.

    Attributes:
        folder: for errors.
        matrix: makes the matrix of a layer from its name and parts.
    """

    folder: Path
    matrix: Callable[[str, Mapping[str, Tensor]], Grouped]

    def weights(self, tensors: Mapping[str, Tensor], block_type: str | None) -> dict[str, Tensor]:
        """The checkpoint's tensors, each layer's parts replaced by its ``weight``.

        Args:
            tensors: by their names in the checkpoint.
            block_type: what to give layers where it can hold their integers exactly;
                otherwise they become floats.
        """
        layers = {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            layer, _, part = name.rpartition(".")
            if layer not in layers or part not in (*_PARTS, "bias"):
                found[name] = tensor
            elif part == "qweight":
                parts = {p: tensors[f"{layer}.{p}"] for p in _PARTS if f"{layer}.{p}" in tensors}
                matrix = self.matrix(layer, parts)
                direct = None if block_type is None else matrix.in_blocks(block_type)
                found[f"{layer}.weight"] = matrix.values() if direct is None else direct
            # AutoGPTQ gives every layer a bias, of zeros where the model has none.
            elif part == "bias" and tensor.dequantize().any():
                found[name] = tensor
        return found


def quantized(folder: Path, config: Mapping[str, Any]) -> Quantized | None:
    """How a folder's config.json, or quantize_config.json, says that its layers are quantized.

    None if they aren't. Raises ConversionError, naming it, for any method other than GPTQ and AWQ.
    """
    settings = config.get("quantization_config")
    if settings is None and (folder / _QUANTIZE_CONFIG).is_file():
        settings = {"quant_method": "gptq", **read_json(folder / _QUANTIZE_CONFIG)}
    if settings is None:
        return None
    if not isinstance(settings, dict):
        raise ConversionError(f"{folder}: quantization_config is not an object")
    method = settings.get("quant_method")
    group_size = settings.get("group_size", settings.get("q_group_size", 128))
    if type(group_size) is not int:
        raise ConversionError(f"{folder}: group_size = {str(group_size)[:80]!r} is not an integer")
    layout = settings.get("checkpoint_format", settings.get("format"))
    if method == "awq":
        return _awq(folder, settings.get("version", layout), group_size)
    if method != "gptq":
        raise ConversionError(
            f"{folder}: quantization by {str(method)[:80]!r} is not supported, only gptq and awq"
        )
    version = _GPTQ_VERSIONS.get(layout if isinstance(layout, str) else None)
    if version is None or (layout is not None and not isinstance(layout, str)):
        raise ConversionError(
            f"{folder}: GPTQ's format {str(layout)[:80]!r} is not supported, only gptq and gptq_v2"
        )
    return Quantized(
        folder,
        lambda name, parts: gptq_matrix(
            folder, name, parts, group_size=group_size, version=version
        ),
    )


def _awq(folder: Path, layout: object, group_size: int) -> Quantized:
    name = layout.lower() if isinstance(layout, str) else layout
    if name is not None and name not in _AWQ_LAYOUTS:
        raise ConversionError(
            f"{folder}: AWQ's layout {str(layout)[:80]!r} is not supported, only GEMM and GEMV"
        )
    matrix = _AWQ_LAYOUTS[name if isinstance(name, str) else None]
    return Quantized(folder, lambda layer, parts: matrix(folder, layer, parts, group_size))
