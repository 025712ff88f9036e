"""Arrays as Flax and Keras name them, by paths of keys, told as PyTorch's modules would be.

A dense layer's ``kernel`` is stored ``(in, out)`` and becomes ``weight`` ``(out, in)``. EasyLM's
model has Meta's layers, in Meta's order of rows, under names of its own. Sources: Hugging Face's
modeling_flax_llama.py; EasyLM's convert_easylm_to_hf.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ggmlkit.errors import ConversionError
from ggmlkit.lazy.transposed import transposed
from ggmlkit.tensor import Tensor

_WEIGHTS = ("kernel", "embedding", "embeddings", "scale")
# What Keras and TensorFlow add to a variable's name.
_ADDED = re.compile(r"(:0|/\.ATTRIBUTES/VARIABLE_VALUE)$")
_OF_TRAINING = ("opt_state", "step")
_EASYLM = "transformer/wte/embedding"
_EASYLM_NAMES = (
    (re.compile(r"\btransformer\.h\."), "layers."),
    (re.compile(r"\btransformer\.wte\b"), "tok_embeddings"),
    (re.compile(r"\btransformer\.ln_f\b"), "norm"),
    (re.compile(r"\blm_head\b"), "output"),
)


def by_module(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``params/lm_head/kernel`` ``(in, out)`` as ``params.lm_head.weight`` ``(out, in)``; all so.

    What else a training run saved, its step and the optimizer's state, is left out. Raises
    ConversionError where two arrays would get the same name.
    """
    easylm = any(path.endswith(_EASYLM) for path in tensors)
    found: dict[str, Tensor] = {}
    for path, tensor in tensors.items():
        *modules, kind = _ADDED.sub("", path).split("/")
        if (modules or [kind])[0] in _OF_TRAINING:
            continue
        name = ".".join([*modules, "weight" if kind in _WEIGHTS else kind])
        if easylm:
            for pattern, meta in _EASYLM_NAMES:
                name = pattern.sub(meta, name)
        if name in found:
            raise ConversionError(f"two arrays are both {name}")
        turned = kind == "kernel" and len(tensor.shape) == 2
        found[name] = (transposed(tensor) if turned else tensor).renamed(name)
    return found
