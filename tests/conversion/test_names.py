"""Tensor names in gguf, Meta's and Hugging Face's way."""

from __future__ import annotations

import pytest

from ggmlkit.conversion import names

SAME = [
    ("token_embd.weight", "tok_embeddings.weight", "model.embed_tokens.weight"),
    ("output.weight", "output.weight", "lm_head.weight"),
    ("output_norm.weight", "norm.weight", "model.norm.weight"),
    (
        "blk.31.attn_k.weight",
        "layers.31.attention.wk.weight",
        "model.layers.31.self_attn.k_proj.weight",
    ),
    (
        "blk.0.ffn_gate.weight",
        "layers.0.feed_forward.w1.weight",
        "model.layers.0.mlp.gate_proj.weight",
    ),
    (
        "blk.0.ffn_down.weight",
        "layers.0.feed_forward.w2.weight",
        "model.layers.0.mlp.down_proj.weight",
    ),
    (
        "blk.0.ffn_norm.weight",
        "layers.0.ffn_norm.weight",
        "model.layers.0.post_attention_layernorm.weight",
    ),
]


@pytest.mark.parametrize("row", SAME)
def test_three_names_of_one_tensor(row: tuple[str, str, str]) -> None:
    assert {names.to_gguf(name) for name in row} == {row[0]}
    assert names.to_meta(row[0]) == row[1]
    assert names.to_hf(row[0]) == row[2]


def test_every_name_of_a_layer_goes_there_and_back() -> None:
    for name in names.block_names(7):
        for translated in (names.to_meta(name), names.to_hf(name)):
            assert translated is not None
            assert names.to_gguf(translated) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.x.self_attn.q_proj.weight",
        "layers.00.attention.wq.weight",
        "layers.0.self_attn.q_proj.weight",
        "blk.0.attention.wq.weight",
    ],
)
def test_unknown_names(name: str) -> None:
    assert names.to_gguf(name) is None
    assert names.to_hf(name) is None


def test_derived_tables_are_known() -> None:
    assert names.is_derived("rope.freqs")
    assert names.is_derived("model.layers.3.self_attn.rotary_emb.inv_freq")
    assert not names.is_derived("norm.weight")
