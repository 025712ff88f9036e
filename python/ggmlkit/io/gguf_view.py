"""Any model file under gguf's keys and tensor names."""

from __future__ import annotations

from typing import Any

from ggmlkit.arch import tensor_names as names
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

_OTHER_KINDS = {"ggla": "a LoRA adapter (ggla)", "imatrix": "an importance matrix"}


def as_gguf(model_file: ModelFile) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """``(metadata, tensors)`` of a gguf, ggjt, ggmf or ggml file, tensors by gguf name.

    Nothing is read: the tensors stay lazy and keep their type, also a legacy block layout. Raises
    ConversionError for a container without hyper-parameters, and for a tensor name of an old file
    that LLaMA doesn't have.
    """
    if model_file.container == "gguf":
        return model_file.metadata.copy(), dict(model_file.tensors)
    other = _OTHER_KINDS.get(model_file.container)
    if other is not None:
        raise ConversionError(f"{model_file.path} is {other}, not a model")
    if model_file.container not in ("ggjt", "ggmf", "ggml"):
        raise ConversionError(
            f"{model_file.path} holds tensors only ({model_file.container}); "
            "give the folder that has its config.json or params.json"
        )
    tensors: dict[str, Tensor] = {}
    for own_name, tensor in model_file.tensors.items():
        name = names.to_gguf(own_name)
        if name is None:
            raise ConversionError(f"{model_file.path}: tensor {own_name} is not one of LLaMA's")
        tensors[name] = tensor.renamed(name)
    return dict(model_file.metadata), tensors
