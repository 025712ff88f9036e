"""The architectures of the LLaMA family, as gguf names them: how each differs from LLaMA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The switches of one architecture; what is not said is as in LLaMA.

    Attributes:
        name: ``general.architecture``, and the prefix of its keys.
        rope_pairs: which elements of a head turn together: ``"neighbours"`` (2i, 2i + 1), or
            ``"halves"`` (i, i + half).
        gate: activation of the feed-forward gate: ``"silu"``, or ``"gelu"`` by its approximation
            with a hyperbolic tangent.
        scales_embeddings: whether embeddings are multiplied by the root of their length.
        has_head_norms: whether each query and key is normed before it is rotated.
        has_post_norms: whether what a block adds to the stream is normed before.
        score_cap, logit_cap: soft caps of files that name none; 0 for no cap.
        window: positions that tokens of sliding layers see where the file doesn't say; 0 for all.
        window_period: of so many layers in a row, the last sees everything; 0: none does.
        wide_scale_layers: a model of so many layers scales its scores by the width over the heads,
            not by the head size (Gemma 2 of 27 B; its files have no key for it).
        is_fused: whether its files keep q, k and v in one tensor, and gate and up in another.
    """

    name: str
    rope_pairs: str = "neighbours"
    gate: str = "silu"
    scales_embeddings: bool = False
    has_head_norms: bool = False
    has_post_norms: bool = False
    score_cap: float = 0.0
    logit_cap: float = 0.0
    window: int = 0
    window_period: int = 0
    wide_scale_layers: int = 0
    is_fused: bool = False


ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture("llama"),
        Architecture("qwen2", rope_pairs="halves"),
        Architecture("qwen3", rope_pairs="halves", has_head_norms=True),
        Architecture("phi3", rope_pairs="halves", is_fused=True),
        Architecture("gemma", rope_pairs="halves", gate="gelu", scales_embeddings=True),
        Architecture(
            "gemma2",
            rope_pairs="halves",
            gate="gelu",
            scales_embeddings=True,
            has_post_norms=True,
            score_cap=50.0,
            logit_cap=30.0,
            window=4096,
            window_period=2,
            wide_scale_layers=46,
        ),
    )
}


def slides(layer: int, period: int) -> bool:
    """Whether a layer slides where of ``period`` layers in a row the last does not; 0: all do."""
    return period == 0 or layer % period != period - 1


def architecture_names() -> str:
    """All of them, for messages."""
    *most, last = ARCHITECTURES
    return f"{', '.join(most)} and {last}"
