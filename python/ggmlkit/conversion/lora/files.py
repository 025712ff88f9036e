"""LoRA adapters in single files: gguf, as llama.cpp has them, and the older ggla."""

from __future__ import annotations

from ggmlkit.arch import tensor_names as names
from ggmlkit.conversion.float_tensors import FLOATS
from ggmlkit.conversion.lora.adapter import Adapter, Update, checked_update
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.legacy.ggla import ALPHA, LoraFile
from ggmlkit.lazy.computed_tensor import computed
from ggmlkit.lazy.transposed import transposed
from ggmlkit.tensor import Tensor

HALVES = (".lora_a", ".lora_b")


def file_adapter(file: ModelFile) -> Adapter:
    """The adapter in an open file; see :func:`open_adapter`."""
    if isinstance(file, LoraFile):
        return _of_ggla(file)
    if file.container == "gguf" and file.metadata.get("general.type") == "adapter":
        return _of_gguf(file)
    if file.container in ("safetensors", "torch"):
        raise ConversionError(
            f"{file.path} holds tensors only; give the folder that has its adapter_config.json"
        )
    raise ConversionError(f"{file.path} is not a LoRA adapter")


def _of_ggla(file: LoraFile) -> Adapter:
    updates = {}
    for own_name, (a, b) in file.pairs.items():
        name = names.to_gguf(own_name)
        if name is None:
            raise ConversionError(f"{file.path}: tensor {own_name} is not one of LLaMA's")
        scale = file.alpha / file.rank
        updates[name] = checked_update(file.path, name, transposed(plain(a)), plain(b), scale)
    return Adapter(file.path, "llama", updates, [file])


def _of_gguf(file: ModelFile) -> Adapter:
    kind = file.metadata.get("adapter.type")
    if kind != "lora":
        raise ConversionError(f"{file.path}: adapters of type {str(kind)[:80]!r} are not supported")
    if file.metadata.get("adapter.alora.invocation_tokens") is not None:
        raise ConversionError(f"{file.path}: adapter.alora.invocation_tokens is not supported")
    alpha = file.metadata.get(ALPHA, 0.0)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        raise FormatError(file.path, None, f"{ALPHA} is {str(alpha)[:80]!r}, not a number")
    updates = {}
    for own_name in file:
        name, half = own_name[: -len(HALVES[0])], own_name[-len(HALVES[0]) :]
        if half not in HALVES:
            raise ConversionError(f"{file.path}: no place for the tensor {own_name}")
        partner = name + HALVES[half == HALVES[0]]
        if partner not in file:
            raise FormatError(file.path, None, f"tensor {own_name} has no partner {partner}")
        if half == HALVES[0]:
            updates[name] = _gguf_update(file, name, float(alpha))
    if not updates:
        raise ConversionError(f"{file.path} changes no weight")
    architecture = file.metadata.get("general.architecture")
    known = architecture if isinstance(architecture, str) else None
    return Adapter(file.path, known, updates, [file])


def _gguf_update(file: ModelFile, name: str, alpha: float) -> Update:
    a, b = (file[name + half] for half in HALVES)
    if name == names.EMBEDDINGS and len(a.shape) == len(b.shape) == 2:
        # Swapped, (vocabulary, rank) and (width, rank): llama.cpp looks up a row for each token.
        a, b = transposed(plain(b)), plain(a)
    rank = b.shape[-1] if b.shape else 0
    # No alpha, or 0, means that the values are scaled already.
    return checked_update(file.path, name, a, b, alpha / rank if alpha and rank else 1.0)


def plain(tensor: Tensor) -> Tensor:
    """The tensor in a float type, whose numbers can be moved one by one."""
    return tensor if tensor.type.name in FLOATS else computed(tensor, lambda x: x)
