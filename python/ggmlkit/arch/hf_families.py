"""The model types of Hugging Face that are known here, and how each one's config.json is read.

Many more have llama's tensor names and compute otherwise: helium turns neighbouring elements,
granite multiplies, smollm3 leaves layers unrotated. Nothing in their tensors shows it. So a type is
known by its name alone, and a row is added here only after its logits were compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.errors import ConversionError

_GELU = "gelu_pytorch_tanh"


@dataclass(frozen=True)
class Family:
    """A ``model_type`` of Hugging Face's, and how its config.json is read.

    Attributes:
        model_type: as config.json has it.
        architecture: what gguf calls it.
        stem: what the names of transformers' classes begin with: ``Llama`` of LlamaForCausalLM.
        own_stem: the same of classes that came with the model's first files; empty if none did.
        activations: values of ``hidden_act`` and ``hidden_activation`` that mean its gate.
        head_dim: where the file does not say; 0 for the width over the heads.
        eps: of the norms, where the file does not say.
        tied: whether the output matrix is the embeddings, where the file does not say.
        has_biases: whether ``attention_bias`` and ``mlp_bias`` are honoured.
        is_long: whether it has LongRoPE and rotates a part of each head.
        has_windows: whether ``sliding_window`` means something.
        window: positions that a token sees where the file does not say; 0 for all.
        window_switch: a setting that switches windows on, and without which there are none.
    """

    model_type: str
    architecture: str
    stem: str
    activations: tuple[str, ...] = ("silu", "swish")  # one function under two names
    head_dim: int = 0
    eps: float = 1e-6
    tied: bool = False
    has_biases: bool = False
    is_long: bool = False
    has_windows: bool = False
    window: int = 0
    window_switch: str = ""
    own_stem: str = ""

    @property
    def model_class(self) -> str:
        """Of transformers, for ``architectures``."""
        return f"{self.stem}ForCausalLM"

    @property
    def classes(self) -> list[str]:
        """Those that compute what is computed here, with the output matrix and without."""
        stems = filter(None, (self.stem, self.own_stem))
        return [f"{stem}{kind}" for stem in stems for kind in ("ForCausalLM", "Model")]


FAMILIES = {
    each.model_type: each
    for each in (
        Family("llama", "llama", "Llama", has_biases=True),
        Family("mistral", "llama", "Mistral", has_windows=True, window=4096),
        Family("ministral", "llama", "Ministral", has_windows=True, window=4096),
        Family("internlm3", "llama", "Llama", head_dim=128, eps=1e-5, own_stem="InternLM3"),
        Family(
            "iquestcoder",
            "llama",
            "Llama",
            head_dim=128,
            eps=1e-5,
            has_biases=True,
            own_stem="IQuestCoder",
        ),
        Family(
            "qwen2",
            "qwen2",
            "Qwen2",
            has_windows=True,
            window=4096,
            window_switch="use_sliding_window",
        ),
        Family(
            "qwen3",
            "qwen3",
            "Qwen3",
            head_dim=128,
            has_windows=True,
            window=4096,
            window_switch="use_sliding_window",
        ),
        Family("phi3", "phi3", "Phi3", eps=1e-5, is_long=True, has_windows=True),
        Family(
            "gemma",
            "gemma",
            "Gemma",
            # Its first files say "gelu" and mean the approximation (transformers takes it so too).
            activations=(_GELU, "gelu"),
            head_dim=256,
            tied=True,
        ),
        Family(
            "gemma2",
            "gemma2",
            "Gemma2",
            activations=(_GELU,),
            head_dim=256,
            tied=True,
            has_windows=True,
            window=4096,
        ),
    )
}


# As the first conversions of LLaMA spelt it.
_OLD_CLASSES = {"LLaMAForCausalLM": "LlamaForCausalLM"}


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a config.json names by ``model_type``, or else by ``architectures``.

    Settings that name neither, such as those saved with a training run, are llama's.
    Raises ConversionError for a name that is not known here, and for a class of a known type that
    computes something else.
    """
    kind, classes = config.get("model_type"), _classes(config)
    if kind is None:
        return _family_of_class(classes) if classes else FAMILIES["llama"]
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise ConversionError(
            f"model_type {str(kind)[:80]!r} is not supported, only {', '.join(FAMILIES)}; if it "
            "computes exactly what one of these does, write that one's model_type and architectures"
        )
    if classes and not set(classes) & set(family.classes):
        raise ConversionError(
            f"architectures names {classes[0][:80]!r}, which is not supported for model_type "
            f"{kind!r}; if it computes exactly what {family.model_class} does, name that instead"
        )
    return family


def _classes(config: Mapping[str, Any]) -> list[str]:
    found = config.get("architectures")
    return (
        [_OLD_CLASSES.get(str(each), str(each)) for each in found]
        if isinstance(found, list)
        else []
    )


def _family_of_class(classes: list[str]) -> Family:
    for family in FAMILIES.values():
        if set(classes) & set(family.classes):
            return family
    raise ConversionError(
        f"architectures names {classes[0][:80]!r}, which is not supported, only "
        f"{', '.join(family.model_class for family in FAMILIES.values())}"
    )
