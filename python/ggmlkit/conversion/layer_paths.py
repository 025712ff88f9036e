"""Arrays that Flax and Keras name by paths of keys, renamed as PyTorch names parameters.

A dense layer's ``kernel`` is stored ``(in, out)`` and becomes ``weight`` ``(out, in)``. EasyLM's
model has Meta's layers and row order, but its own names. Sources: Hugging Face's
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
    """The arrays by PyTorch's names, with dense layers transposed.

    ``params/lm_head/kernel`` ``(in, out)`` becomes ``params.lm_head.weight`` ``(out, in)``. The
    step and the optimizer's state, which a training run also saves, are left out. Raises
    ConversionError if two arrays would get the same name.
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
            raise ConversionError(f"two arrays have the name {name}")
        is_dense = kind == "kernel" and len(tensor.shape) == 2
        found[name] = (transposed(tensor) if is_dense else tensor).renamed(name)
    return found
