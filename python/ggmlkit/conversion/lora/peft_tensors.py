"""The tensors of a PEFT adapter: which weights they change, and which they replace as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ggmlkit.arch import tensor_names as names
from ggmlkit.conversion.prefixes import unwrapped
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

# base_model.model.MODULE.lora_A.weight; of embeddings, MODULE.lora_embedding_A. A model that was
# never saved by PEFT has the adapter's name in it as well.
_HALF = re.compile(
    r"(?:base_model\.model\.)?(.+?)\.lora_((?:embedding_)?[AB]|magnitude)(?:_vector)?"
    r"(?:\.default)?(?:\.weight)?"
)
# The base model's own values, which PEFT saves along with embeddings that it changes.
_BASE_LAYER = re.compile(r"(?:base_model\.model\.)?(.+)\.base_layer\.weight")
# Trained as a whole: modules_to_save, embeddings of a vocabulary that grew, biases.
_WHOLE = re.compile(
    r"(?:base_model\.model\.)?(.+?)(?:\.modules_to_save(?:\.default)?|\.base_layer)?\.(weight|bias)"
)
# How names begin if the model was loaded without its head.
_HEADLESS = ("layers.", "embed_tokens", "norm")


class AdaptedWeight(NamedTuple):
    """A weight that an adapter updates: its module in the checkpoint, and its gguf name."""

    module: str
    gguf: str


@dataclass
class Parts:
    """What an adapter's file holds.

    Attributes:
        adapted: the tensors of each weight that are in the file: "A" and "B", or "embedding_A" and
            "embedding_B", and "magnitude".
        whole: tensors in place of the model's, by gguf name.
        whole_modules: the modules of these in the checkpoint.
    """

    adapted: dict[AdaptedWeight, dict[str, Tensor]] = field(default_factory=dict)
    whole: dict[str, Tensor] = field(default_factory=dict)
    whole_modules: list[str] = field(default_factory=list)


def peft_parts(file: ModelFile, architecture: str | None) -> Parts:
    """The sorted tensors of a file; ``architecture`` is gguf's name of the base model's, if known.

    Raises ConversionError for a name that has no place in the architecture, FormatError for two
    tensors in one place.
    """
    found = Parts()
    unchanged: set[str] = set()
    for stored_name, tensor in file.items():
        own_name = unwrapped(stored_name)
        if base := _BASE_LAYER.fullmatch(own_name):
            unchanged.add(_full(base[1]))
        elif match := _HALF.fullmatch(own_name):
            module, half = _full(match[1]), match[2]
            name = _gguf_name(file, own_name, f"{module}.weight", architecture)
            halves = found.adapted.setdefault(AdaptedWeight(module, name), {})
            if half in halves:
                raise FormatError(file.path, None, f"two tensors are lora_{half} of {module}")
            halves[half] = tensor
        elif match := _WHOLE.fullmatch(own_name):
            module = _full(match[1])
            name = _gguf_name(file, own_name, f"{module}.{match[2]}", architecture)
            if name in found.whole:
                raise FormatError(file.path, None, f"two tensors are the {match[2]} of {module}")
            found.whole[name] = tensor
            found.whole_modules.append(module)
        else:
            raise ConversionError(f"{file.path}: no place for the tensor {own_name}")
    if bare := unchanged - {weight.module for weight in found.adapted}:
        raise FormatError(
            file.path, None, f"{min(bare)} has a base_layer, but no lora_A and lora_B"
        )
    return found


def _full(module: str) -> str:
    return f"model.{module}" if module.startswith(_HEADLESS) else module


def _gguf_name(file: ModelFile, own_name: str, hf_name: str, architecture: str | None) -> str:
    name = names.hf_to_gguf(hf_name, architecture or "llama")
    if name is not None:
        return name
    if architecture is None:
        raise ConversionError(
            f"{file.path}: what the tensor {own_name} changes depends on the model that it is for, "
            "which was not found; give the base model (--base)"
        )
    raise ConversionError(
        f"{file.path}: no place for the tensor {own_name} in the architecture {architecture!r}"
    )
