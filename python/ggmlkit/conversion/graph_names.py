"""Initialisers of an ONNX graph by the names that the model's parameters had in PyTorch.

Exporters keep the names of most parameters. A matrix that they transposed for a product is called
``onnx::MatMul_123`` or ``val_45``, and of equal parameters only one is kept. The nodes that use
such a tensor say which module it belongs to: by a name like
``/model/layers.0/mlp/up_proj/MatMul``, or by the module scopes that PyTorch's newer exporter
records.
"""

from __future__ import annotations

import re

from ggmlkit.arch import tensor_names as names
from ggmlkit.errors import ConversionError
from ggmlkit.io.foreign.onnx import Node, OnnxFile
from ggmlkit.lazy.transposed import transposed
from ggmlkit.tensor import Tensor

_MATMUL, _MULTIPLY, _COPY = "MatMul", "Mul", "Identity"
# The text is a Python list: ['', 'model', 'model.layers.0', …, 'linear_3'].
_SCOPE = re.compile(r"'([^']*)'")


def by_module(file: OnnxFile) -> dict[str, Tensor]:
    """The parameters' tensors by name, ``(out, in)``; constants of the computation are left out.

    Raises ConversionError for a matrix that can't be traced to a module.
    """
    found = {name: tensor for name, tensor in file.tensors.items() if _is_parameter(name)}
    for node in file.nodes:
        if node.operator == _COPY and len(node.inputs) == len(node.outputs) == 1:
            (name,) = node.outputs
            if _is_parameter(name):
                found.setdefault(name, file.tensors[node.inputs[0]].renamed(name))
            continue
        weight = f"{_module(node)}.weight"
        for name in node.inputs:
            tensor = file.tensors.get(name)
            if tensor is None:
                continue
            is_factor = node.operator == _MATMUL and name == node.inputs[-1]
            if is_factor and len(tensor.shape) == 2 and name not in found:
                if not _is_parameter(weight):
                    raise ConversionError(
                        f"{file.path}: no node says which module the matrix {name} belongs to"
                    )
                found.setdefault(weight, transposed(tensor).renamed(weight))
            elif node.operator == _MULTIPLY and len(tensor.shape) == 1 and _is_parameter(weight):
                found.setdefault(weight, tensor.renamed(weight))
    return found


def _is_parameter(name: str) -> bool:
    """Whether a name ends like a parameter of LLaMA, whatever module contains the model."""
    module, _, kind = name.rpartition(".")
    parts = module.split(".")
    return kind in ("weight", "bias") and any(
        names.to_gguf(".".join(parts[place:]) + ".weight") for place in range(len(parts))
    )


def _module(node: Node) -> str:
    """The path of the module that a node is in, ``model.layers.0.mlp.up_proj``; "" if unknown."""
    scopes = _SCOPE.findall(node.scopes)
    if len(scopes) > 1:
        return str(scopes[-2])
    return node.name.rpartition("/")[0].strip("/").replace("/", ".")
