"""ggmlkit: read, write, quantize and run GGML and GGUF model files.

Importing this loads nothing else: the module of a name, numpy and the compiled core are imported
when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ggmlkit._version import __version__

if TYPE_CHECKING:
    from ggmlkit import errors, evaluation, types
    from ggmlkit.arch.hparams import ConversionWarning
    from ggmlkit.calibration.calibration import Calibration
    from ggmlkit.calibration.choosing import Sensitivities, TypeChoice
    from ggmlkit.calibration.imatrix import make_imatrix
    from ggmlkit.calibration.merging import merge_imatrices
    from ggmlkit.calibration.recommending import sensitivities
    from ggmlkit.calibration.searching import ScaleSearch
    from ggmlkit.conversion.convert import convert
    from ggmlkit.conversion.delta import apply_delta, make_delta
    from ggmlkit.conversion.export import export
    from ggmlkit.conversion.lora.merge import apply_lora
    from ggmlkit.engine.choosing import Choice
    from ggmlkit.engine.completion import Token
    from ggmlkit.engine.llama import Llama
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.request import Stream
    from ggmlkit.engine.result import GenerationResult, Usage
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.engine.scheduler import Scheduler
    from ggmlkit.engine.scoring import Score
    from ggmlkit.engine.sequence import Adapter, Chunk, Sequence
    from ggmlkit.engine.stats import Stats
    from ggmlkit.errors import (
        ArgumentError,
        ArgumentTypeError,
        CacheFullError,
        ClosedError,
        ConversionError,
        FormatError,
        GgmlkitError,
        HubError,
        ImportanceError,
        MissingTensorError,
        ModelError,
        OutOfRangeError,
        UnstorableError,
        UnsupportedTypeError,
    )
    from ggmlkit.inspection.compare import compare_files as compare
    from ggmlkit.inspection.repair import repair_file as repair
    from ggmlkit.inspection.verify import verify_file as verify
    from ggmlkit.io import ModelFile, open, save
    from ggmlkit.io.gguf.metadata_edit import edit_metadata
    from ggmlkit.io.gguf.split import merge_files as merge
    from ggmlkit.io.gguf.split import split_file as split
    from ggmlkit.io.imatrix import read_imatrix, save_imatrix
    from ggmlkit.products import PackedMatrix, matmul
    from ggmlkit.quantization import quantize_file
    from ggmlkit.quantizing import dequantize, quantize, tensor_of
    from ggmlkit.tensor import Tensor
    from ggmlkit.text.tokenizer import Tokenizer
    from ggmlkit.types import TensorType

# The module of each name; "module:name" if it has another name in the module.
_LAZY = {
    "Adapter": "ggmlkit.engine.sequence",
    "ArgumentError": "ggmlkit.errors",
    "ArgumentTypeError": "ggmlkit.errors",
    "CacheFullError": "ggmlkit.errors",
    "Calibration": "ggmlkit.calibration.calibration",
    "Choice": "ggmlkit.engine.choosing",
    "Chunk": "ggmlkit.engine.sequence",
    "ClosedError": "ggmlkit.errors",
    "ConversionError": "ggmlkit.errors",
    "ConversionWarning": "ggmlkit.arch.hparams",
    "FormatError": "ggmlkit.errors",
    "GenerationResult": "ggmlkit.engine.result",
    "GgmlkitError": "ggmlkit.errors",
    "HubError": "ggmlkit.errors",
    "ImportanceError": "ggmlkit.errors",
    "Llama": "ggmlkit.engine.llama",
    "MissingTensorError": "ggmlkit.errors",
    "Model": "ggmlkit.engine.model",
    "ModelError": "ggmlkit.errors",
    "ModelFile": "ggmlkit.io",
    "OutOfRangeError": "ggmlkit.errors",
    "PackedMatrix": "ggmlkit.products",
    "SamplingParams": "ggmlkit.engine.sampling",
    "ScaleSearch": "ggmlkit.calibration.searching",
    "Scheduler": "ggmlkit.engine.scheduler",
    "Score": "ggmlkit.engine.scoring",
    "Sensitivities": "ggmlkit.calibration.choosing",
    "Sequence": "ggmlkit.engine.sequence",
    "Stats": "ggmlkit.engine.stats",
    "Stream": "ggmlkit.engine.request",
    "Tensor": "ggmlkit.tensor",
    "TensorType": "ggmlkit.types",
    "Token": "ggmlkit.engine.completion",
    "Tokenizer": "ggmlkit.text.tokenizer",
    "TypeChoice": "ggmlkit.calibration.choosing",
    "UnstorableError": "ggmlkit.errors",
    "UnsupportedTypeError": "ggmlkit.errors",
    "Usage": "ggmlkit.engine.result",
    "apply_delta": "ggmlkit.conversion.delta",
    "apply_lora": "ggmlkit.conversion.lora.merge",
    "compare": "ggmlkit.inspection.compare:compare_files",
    "convert": "ggmlkit.conversion.convert",
    "dequantize": "ggmlkit.quantizing",
    "edit_metadata": "ggmlkit.io.gguf.metadata_edit",
    "export": "ggmlkit.conversion.export",
    "make_delta": "ggmlkit.conversion.delta",
    "make_imatrix": "ggmlkit.calibration.imatrix",
    "matmul": "ggmlkit.products",
    "merge": "ggmlkit.io.gguf.split:merge_files",
    "merge_imatrices": "ggmlkit.calibration.merging",
    "open": "ggmlkit.io",
    "quantize": "ggmlkit.quantizing",
    "quantize_file": "ggmlkit.quantization",
    "read_imatrix": "ggmlkit.io.imatrix",
    "repair": "ggmlkit.inspection.repair:repair_file",
    "save": "ggmlkit.io",
    "save_imatrix": "ggmlkit.io.imatrix",
    "sensitivities": "ggmlkit.calibration.recommending",
    "split": "ggmlkit.io.gguf.split:split_file",
    "tensor_of": "ggmlkit.quantizing",
    "verify": "ggmlkit.inspection.verify:verify_file",
}
_MODULES = ("errors", "evaluation", "types")

__all__ = [
    "Adapter",
    "ArgumentError",
    "ArgumentTypeError",
    "CacheFullError",
    "Calibration",
    "Choice",
    "Chunk",
    "ClosedError",
    "ConversionError",
    "ConversionWarning",
    "FormatError",
    "GenerationResult",
    "GgmlkitError",
    "HubError",
    "ImportanceError",
    "Llama",
    "MissingTensorError",
    "Model",
    "ModelError",
    "ModelFile",
    "OutOfRangeError",
    "PackedMatrix",
    "SamplingParams",
    "ScaleSearch",
    "Scheduler",
    "Score",
    "Sensitivities",
    "Sequence",
    "Stats",
    "Stream",
    "Tensor",
    "TensorType",
    "Token",
    "Tokenizer",
    "TypeChoice",
    "UnstorableError",
    "UnsupportedTypeError",
    "Usage",
    "__version__",
    "apply_delta",
    "apply_lora",
    "compare",
    "convert",
    "dequantize",
    "edit_metadata",
    "errors",
    "evaluation",
    "export",
    "make_delta",
    "make_imatrix",
    "matmul",
    "merge",
    "merge_imatrices",
    "open",
    "quantize",
    "quantize_file",
    "read_imatrix",
    "repair",
    "save",
    "save_imatrix",
    "sensitivities",
    "split",
    "tensor_of",
    "types",
    "verify",
]

if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is a fault

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"ggmlkit.{name}")
        place = _LAZY.get(name)
        if place is None:
            raise AttributeError(f"module 'ggmlkit' has no attribute {name!r}")
        module, _, own_name = place.partition(":")
        value = getattr(import_module(module), own_name or name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
