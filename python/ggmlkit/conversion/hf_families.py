"""The model types of Hugging Face that are known here, and how each one's config.json is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_GELU = "gelu_pytorch_tanh"


@dataclass(frozen=True)
class Family:
    """A ``model_type`` of Hugging Face's, and how its config.json is read.

    Attributes:
        model_type: as config.json has it.
        architecture: what gguf calls it.
        model_class: of transformers, for ``architectures``.
        activations: values of ``hidden_act`` and ``hidden_activation`` that mean its gate.
        head_dim: where the file does not say; 0 for the width over the heads.
        eps: of the norms, where the file does not say.
        tied: whether the output matrix is the embeddings, where the file does not say.
        has_biases: whether ``attention_bias`` and ``mlp_bias`` are honoured.
        is_long: whether it has LongRoPE and rotates a part of each head.
        has_windows: whether ``sliding_window`` means something.
        window_switch: a setting that switches windows on, and without which there are none.
    """

    model_type: str
    architecture: str
    model_class: str
    activations: tuple[str, ...] = ("silu",)
    head_dim: int = 0
    eps: float = 1e-6
    tied: bool = False
    has_biases: bool = False
    is_long: bool = False
    has_windows: bool = False
    window_switch: str = ""


FAMILIES = {
    each.model_type: each
    for each in (
        Family("llama", "llama", "LlamaForCausalLM", has_biases=True),
        Family("mistral", "llama", "MistralForCausalLM", has_windows=True),
        Family(
            "qwen2",
            "qwen2",
            "Qwen2ForCausalLM",
            has_windows=True,
            window_switch="use_sliding_window",
        ),
        Family(
            "qwen3",
            "qwen3",
            "Qwen3ForCausalLM",
            head_dim=128,
            has_windows=True,
            window_switch="use_sliding_window",
        ),
        Family("phi3", "phi3", "Phi3ForCausalLM", eps=1e-5, is_long=True, has_windows=True),
        Family(
            "gemma",
            "gemma",
            "GemmaForCausalLM",
            # Its first files say "gelu" and mean the approximation (transformers takes it so too).
            activations=(_GELU, "gelu"),
            head_dim=256,
            tied=True,
        ),
        Family(
            "gemma2",
            "gemma2",
            "Gemma2ForCausalLM",
            activations=(_GELU,),
            head_dim=256,
            tied=True,
            has_windows=True,
        ),
    )
}


def family_of(config: Mapping[str, Any]) -> Family | None:
    """The family that config.json names; None for one that is not known here."""
    return FAMILIES.get(str(config.get("model_type", "llama")))
