"""The architectures of the LLaMA family under gguf's names, and how each differs from LLaMA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The switches of one architecture; the defaults are LLaMA's.

    Attributes:
        name: ``general.architecture``, and the prefix of its keys.
        rope_pairs: which elements of a head are rotated together: ``"neighbours"`` (2i, 2i + 1),
            or ``"halves"`` (i, i + half).
        gate: activation of the feed-forward gate: ``"silu"``, or ``"gelu"`` (the tanh
            approximation).
        scales_embeddings: whether embeddings are multiplied by the square root of their width.
        has_qkv_bias: whether q, k and v always have biases.
        has_head_norms: whether each query and key is normalized before it is rotated.
        has_post_norms: whether the outputs of attention and of the feed-forward part are
            normalized before they are added to the residual stream.
        stores_norms_less_one: whether checkpoints store the weights of norms minus 1; gguf stores
            the weights themselves.
        attn_softcap, final_softcap: soft caps of files without such a key; 0 for no cap.
        window: positions that tokens of sliding layers see, if the file has no key; 0 for all.
        window_period: one layer in so many, the last of them, sees everything; 0: no layer does.
        sliding_base: RoPE base of sliding layers, if the file has no key; RoPE scaling applies to
            the other layers only. 0: all layers have the same RoPE.
        wide_scale_layers: a model with so many layers scales attention scores by the width divided
            by the number of heads, not by the head size (Gemma 2 and 3 of 27 B; there is no key).
        is_fused: whether its files keep q, k and v in one tensor, and gate and up in another.
        is_tied: whether its files never have an output matrix besides the embeddings.
    """

    name: str
    rope_pairs: str = "neighbours"
    gate: str = "silu"
    scales_embeddings: bool = False
    has_qkv_bias: bool = False
    has_head_norms: bool = False
    has_post_norms: bool = False
    stores_norms_less_one: bool = False
    attn_softcap: float = 0.0
    final_softcap: float = 0.0
    window: int = 0
    window_period: int = 0
    sliding_base: float = 0.0
    wide_scale_layers: int = 0
    is_fused: bool = False
    is_tied: bool = False

    def sliding_layers(self, layers: int) -> tuple[bool, ...]:
        """For each layer whether it has a sliding window, if the file has no key for it."""
        return tuple(slides(layer, self.window_period) for layer in range(layers))


ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture("llama"),
        Architecture("qwen2", rope_pairs="halves", has_qkv_bias=True),
        Architecture("qwen3", rope_pairs="halves", has_head_norms=True),
        Architecture("phi3", rope_pairs="halves", is_fused=True),
        Architecture(
            "gemma",
            rope_pairs="halves",
            gate="gelu",
            scales_embeddings=True,
            stores_norms_less_one=True,
            is_tied=True,
        ),
        Architecture(
            "gemma2",
            rope_pairs="halves",
            gate="gelu",
            scales_embeddings=True,
            has_post_norms=True,
            stores_norms_less_one=True,
            attn_softcap=50.0,
            final_softcap=30.0,
            window=4096,
            window_period=2,
            wide_scale_layers=46,
            is_tied=True,
        ),
        Architecture(
            "gemma3",
            rope_pairs="halves",
            gate="gelu",
            scales_embeddings=True,
            has_head_norms=True,
            has_post_norms=True,
            stores_norms_less_one=True,
            window_period=6,
            sliding_base=10000.0,
            wide_scale_layers=62,
        ),
    )
}


def slides(layer: int, period: int) -> bool:
    """Whether a layer slides, if the last of every ``period`` layers doesn't; 0: all do."""
    return period == 0 or layer % period != period - 1


def architecture_names() -> str:
    """The names of all architectures, for messages."""
    *most, last = ARCHITECTURES
    return f"{', '.join(most)} and {last}"
