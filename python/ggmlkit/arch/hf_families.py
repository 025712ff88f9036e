"""The model types of Hugging Face that are known here, and how each one's config.json is read.

Many more have llama's tensor names and compute otherwise: helium turns neighbouring elements,
granite multiplies, smollm3 leaves layers unrotated. Nothing in their tensors shows it. So a type is
known by its name alone, and a row is added here only after its logits were compared.
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
    """A ``model_type`` of Hugging Face's, and how its config.json is read.

    Attributes:
        model_type: as config.json has it.
        architecture: what gguf calls it.
        stem: what the names of transformers' classes begin with: ``Llama`` of LlamaForCausalLM.
        own_stem: the same of classes that came with the model's first files; empty if none did.
        activations: values of ``hidden_act`` and ``hidden_activation`` that mean its gate.
        head_dim: where the file does not say; 0 for the width over the heads.
        eps: of the norms, where the file does not say.
        theta: base of the rotation, where the file does not say.
        tied: whether the output matrix is the embeddings, where the file does not say.
        softcaps: the settings of soft caps that are honoured.
        has_query_scale: whether ``query_pre_attn_scalar`` is honoured.
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
        """Of transformers, for ``architectures``."""
        return f"{self.stem}ForCausalLM"

    @property
    def classes(self) -> list[str]:
        """Those that compute what is computed here, with the output matrix and without."""
        stems = filter(None, (self.stem, self.own_stem))
        kinds = ("ForCausalLM", "TextModel" if self.model_type.endswith("_text") else "Model")
        return [f"{stem}{kind}" for stem in stems for kind in kinds]


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
    """The family that a gguf architecture is written as, unless something asks for another."""
    return next(each for each in FAMILIES.values() if each.architecture == architecture)


# As the first conversions of LLaMA spelt it.
_OLD_CLASSES = {"LLaMAForCausalLM": "LlamaForCausalLM"}


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a config.json names by ``model_type``, or else by ``architectures``.

    Settings that name neither, such as those saved with a training run, are llama's.
    Raises HparamsError for a name that is not known here, and for a class of a known type that
    computes something else.
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
