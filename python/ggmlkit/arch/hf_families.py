"""The supported model types of Hugging Face, and how each one's config.json is read.

Many other types have llama's tensor names but compute differently: helium rotates neighbouring
elements, granite has multipliers, smollm3 has layers without RoPE. The tensors don't show it. So a
type is recognized by its name only, and a row is added here only after comparing its logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.arch.rope import DEFAULT_BASE
from ggmlkit.errors import HparamsError

_GELU = "gelu_pytorch_tanh"


@dataclass(frozen=True)
class Family:
    """A ``model_type`` of Hugging Face, and how its config.json is read.

    Attributes:
        model_type: the name in config.json.
        architecture: gguf's name.
        stem: the start of transformers' class names: ``Llama`` in LlamaForCausalLM.
        own_stem: the same for classes published with the model's files; empty if there are none.
        activations: values of ``hidden_act`` and ``hidden_activation`` that mean its gate.
        head_dim: default of the head size; 0 for the width divided by the number of heads.
        eps: default epsilon of the norms.
        context: default context length in tokens.
        theta: default base of RoPE.
        tied: whether the output matrix is the embeddings by default.
        softcaps: the settings of soft caps that are used.
        has_query_scale: whether ``query_pre_attn_scalar`` is used.
        has_biases: whether ``attention_bias`` and ``mlp_bias`` are used.
        is_long: whether it has LongRoPE and rotates a part of each head.
        has_windows: whether ``sliding_window`` is used.
        window: default number of positions that a token sees; 0 for all.
        window_switch: a setting that enables windows; without it there are none.
    """

    model_type: str
    architecture: str
    stem: str
    activations: tuple[str, ...] = ("silu", "swish")  # one function under two names
    head_dim: int = 0
    eps: float = 1e-6
    context: int = 2048
    theta: float = DEFAULT_BASE
    tied: bool = False
    softcaps: tuple[str, ...] = ()
    has_query_scale: bool = False
    has_biases: bool = False
    is_long: bool = False
    has_windows: bool = False
    window: int = 0
    window_switch: str = ""
    own_stem: str = ""

    @property
    def model_class(self) -> str:
        """The class name in transformers, for ``architectures``."""
        return f"{self.stem}ForCausalLM"

    @property
    def classes(self) -> list[str]:
        """The classes that compute the same as this decoder, with or without the output matrix."""
        stems = filter(None, (self.stem, self.own_stem))
        kinds = ("ForCausalLM", "TextModel" if self.model_type.endswith("_text") else "Model")
        return [f"{stem}{kind}" for stem in stems for kind in kinds]


FAMILIES = {
    each.model_type: each
    for each in (
        Family("llama", "llama", "Llama", has_biases=True),
        Family("mistral", "llama", "Mistral", context=131072, has_windows=True, window=4096),
        Family("ministral", "llama", "Ministral", context=131072, has_windows=True, window=4096),
        Family(
            "internlm3",
            "llama",
            "Llama",
            head_dim=128,
            eps=1e-5,
            context=32768,
            own_stem="InternLM3",
        ),
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
            context=32768,
            has_windows=True,
            window=4096,
            window_switch="use_sliding_window",
        ),
        Family(
            "qwen3",
            "qwen3",
            "Qwen3",
            head_dim=128,
            context=32768,
            has_windows=True,
            window=4096,
            window_switch="use_sliding_window",
        ),
        Family("phi3", "phi3", "Phi3", eps=1e-5, context=4096, is_long=True, has_windows=True),
        Family(
            "gemma",
            "gemma",
            "Gemma",
            # Its first files say "gelu" but mean the approximation, also for transformers.
            activations=(_GELU, "gelu"),
            head_dim=256,
            context=8192,
            tied=True,
        ),
        Family(
            "gemma2",
            "gemma2",
            "Gemma2",
            activations=(_GELU,),
            head_dim=256,
            context=8192,
            tied=True,
            softcaps=("attn_logit_softcapping", "final_logit_softcapping"),
            has_query_scale=True,
            has_windows=True,
            window=4096,
        ),
        Family(
            "gemma3_text",
            "gemma3",
            "Gemma3",
            activations=(_GELU,),
            head_dim=256,
            context=131072,
            theta=1e6,
            tied=True,
            softcaps=("final_logit_softcapping",),
            has_query_scale=True,
            has_windows=True,
            window=4096,
        ),
    )
}


def family_for(architecture: str) -> Family:
    """The family that a gguf architecture is exported as by default."""
    return next(each for each in FAMILIES.values() if each.architecture == architecture)


# The spelling in the first conversions of LLaMA.
_OLD_CLASSES = {"LLaMAForCausalLM": "LlamaForCausalLM"}


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a config.json names by ``model_type``, or else by ``architectures``.

    Without either name, as in settings saved with a training run, it is llama. Raises HparamsError
    if a name is not supported, or a class of a known type computes something else.
    """
    kind, classes = config.get("model_type"), _classes(config)
    if kind is None:
        return _family_of_class(classes) if classes else FAMILIES["llama"]
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise HparamsError(
            f"model_type {str(kind)[:80]!r} is not supported, only {', '.join(FAMILIES)}; if it "
            "computes exactly what one of these does, write that one's model_type and architectures"
        )
    if classes and not set(classes) & set(family.classes):
        raise HparamsError(
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
    raise HparamsError(
        f"architectures names {classes[0][:80]!r}, which is not supported, only "
        f"{', '.join(family.model_class for family in FAMILIES.values())}"
    )
