"""One table of tensor names: gguf's, Meta's (also in ggml, ggmf, ggjt) and Hugging Face's."""

from __future__ import annotations

import re

from ggmlkit.arch.architectures import ARCHITECTURES

EMBEDDINGS, OUTPUT_NORM, OUTPUT = "token_embd.weight", "output_norm.weight", "output.weight"
ROPE_FREQS = "rope_freqs.weight"
ROPE_SHORT = "rope_factors_short.weight"
ROPE_LONG = "rope_factors_long.weight"
ROPE_TENSORS = (ROPE_FREQS, ROPE_SHORT, ROPE_LONG)  # computed from the hyper-parameters

# (gguf, Meta, Hugging Face), each without the trailing ".weight".
_TOP = (
    ("token_embd", "tok_embeddings", "model.embed_tokens"),
    ("output_norm", "norm", "model.norm"),
    ("output", "output", "lm_head"),
)
# The names in a layer, without "blk.N.", "layers.N." or "model.layers.N.".
_LAYER = (
    ("attn_norm", "attention_norm", "input_layernorm"),
    ("attn_q", "attention.wq", "self_attn.q_proj"),
    ("attn_k", "attention.wk", "self_attn.k_proj"),
    ("attn_v", "attention.wv", "self_attn.v_proj"),
    ("attn_output", "attention.wo", "self_attn.o_proj"),
    ("ffn_norm", "ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "feed_forward.w1", "mlp.gate_proj"),
    ("ffn_up", "feed_forward.w3", "mlp.up_proj"),
    ("ffn_down", "feed_forward.w2", "mlp.down_proj"),
)
# Hugging Face's names of tensors that an architecture's switches add to a layer, or rename.
_HF_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_HF_FUSED = {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
_HF_POST_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}

_PREFIXES = ("blk.", "layers.", "model.layers.")
_LAYER_NAME = re.compile(r"(blk|layers|model\.layers)\.(0|[1-9][0-9]{0,5})\.(.+)\.weight")
_TOP_TO_GGUF = {name: row[0] for row in _TOP for name in row}
_LAYER_TO_GGUF = [{row[column]: row[0] for row in _LAYER} for column in range(3)]
_FROM_GGUF_TOP = {row[0]: row for row in _TOP}
_FROM_GGUF_LAYER = {row[0]: row for row in _LAYER}
_HF_LAYER_NAME = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,5})\.(.+)\.(weight|bias)")
_GGUF_LAYER_NAME = re.compile(r"blk\.(0|[1-9][0-9]{0,5})\.(.+)\.(weight|bias)")
# RoPE tables that some checkpoints include; they are computed from the hyper-parameters.
_DERIVED = re.compile(
    r"rope\.freqs"
    r"|layers\.\d+\.attention\.inner_attention\.rope\.freqs"
    r"|model\.(layers\.\d+\.self_attn\.)?rotary_emb\.((original_)?inv_freq|(cos|sin)_cached)"
)
# The causal mask, (1, 1, context, context), and the score of a masked position, which older code
# saves with each layer.
_MASK = re.compile(r"model\.layers\.\d+\.self_attn\.(bias|masked_bias)")


def to_gguf(name: str) -> str | None:
    """The gguf name of a tensor named in any of the three ways, or None if it is unknown."""
    if name == ROPE_FREQS:
        return name
    if match := _LAYER_NAME.fullmatch(name):
        column = _PREFIXES.index(match[1] + ".")
        part = _LAYER_TO_GGUF[column].get(match[3])
        return None if part is None else f"blk.{match[2]}.{part}.weight"
    part = _TOP_TO_GGUF.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
    return None if part is None else f"{part}.weight"


def to_meta(name: str) -> str | None:
    """Meta's (and ggjt's) name of the tensor with this gguf name, or None."""
    return _from_gguf(name, 1)


def to_hf(name: str, architecture: str = "llama") -> str | None:
    """The Hugging Face name of an architecture's tensor with this gguf name, or None."""
    if match := _GGUF_LAYER_NAME.fullmatch(name):
        part = _hf_parts(architecture).get(match[2])
        return None if part is None else f"model.layers.{match[1]}.{part}.{match[3]}"
    return _from_gguf(name, 2)


def hf_to_gguf(name: str, architecture: str = "llama") -> str | None:
    """The gguf name of an architecture's tensor with this Hugging Face name, or None."""
    if match := _HF_LAYER_NAME.fullmatch(name):
        parts = {hf_part: gguf_part for gguf_part, hf_part in _hf_parts(architecture).items()}
        part = parts.get(match[2])
        return None if part is None else f"blk.{match[1]}.{part}.{match[3]}"
    found = to_gguf(name)
    return found if found is not None and _from_gguf(found, 2) == name else None


def _hf_parts(architecture: str) -> dict[str, str]:
    """Parts of a layer: gguf's names to Hugging Face's."""
    switches = ARCHITECTURES[architecture]
    found = {row[0]: row[2] for row in _LAYER}
    if switches.has_head_norms:
        found |= _HF_HEAD_NORMS
    if switches.has_post_norms:
        found |= _HF_POST_NORMS
    return found | _HF_FUSED if switches.is_fused else found


def is_derived(name: str) -> bool:
    """Whether a checkpoint's tensor is only a table computed from the hyper-parameters."""
    return _DERIVED.fullmatch(name) is not None


def is_mask(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a checkpoint's tensor is a causal mask or its score, not the bias of a matrix."""
    return _MASK.fullmatch(name) is not None and len(shape) in (0, 4)


def block_names(layer: int) -> list[str]:
    """The gguf names of one layer's weights, in the order of a file."""
    return [f"blk.{layer}.{row[0]}.weight" for row in _LAYER]


def _from_gguf(name: str, column: int) -> str | None:
    if match := _LAYER_NAME.fullmatch(name):
        row = _FROM_GGUF_LAYER.get(match[3]) if match[1] == "blk" else None
        return None if row is None else f"{_PREFIXES[column]}{match[2]}.{row[column]}.weight"
    row = _FROM_GGUF_TOP.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
    return None if row is None else f"{row[column]}.weight"
