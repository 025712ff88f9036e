"""Tensor names in gguf's, Meta's and Hugging Face's form."""

from __future__ import annotations

import pytest

from ggmlkit.arch import tensor_names as names

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


@pytest.mark.parametrize(
    ("architecture", "ours", "theirs"),
    [
        ("llama", "blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
        ("llama", "blk.3.ffn_down.bias", "model.layers.3.mlp.down_proj.bias"),
        ("qwen2", "blk.0.attn_v.bias", "model.layers.0.self_attn.v_proj.bias"),
        ("qwen3", "blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight"),
        ("phi3", "blk.0.attn_qkv.weight", "model.layers.0.self_attn.qkv_proj.weight"),
        ("phi3", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight"),
        ("gemma2", "blk.0.ffn_norm.weight", "model.layers.0.pre_feedforward_layernorm.weight"),
        (
            "gemma2",
            "blk.0.post_attention_norm.weight",
            "model.layers.0.post_attention_layernorm.weight",
        ),
        (
            "gemma2",
            "blk.0.post_ffw_norm.weight",
            "model.layers.0.post_feedforward_layernorm.weight",
        ),
        ("gemma2", "output_norm.weight", "model.norm.weight"),
    ],
)
def test_hugging_face_s_names_by_architecture(architecture: str, ours: str, theirs: str) -> None:
    assert names.hf_to_gguf(theirs, architecture) == ours
    assert names.to_hf(ours, architecture) == theirs


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("llama", "model.layers.0.self_attn.q_norm.weight"),
        ("qwen2", "model.layers.0.self_attn.qkv_proj.weight"),
        ("llama", "layers.0.attention.wq.weight"),
        ("llama", "blk.0.attn_q.weight"),
        ("llama", "output.weight"),
        ("gemma2", "model.layers.0.self_attn.q_norm.weight"),
    ],
)
def test_names_of_another_architecture(architecture: str, name: str) -> None:
    assert names.hf_to_gguf(name, architecture) is None


def test_derived_tables_are_known() -> None:
    assert names.is_derived("rope.freqs")
    assert names.is_derived("model.layers.3.self_attn.rotary_emb.inv_freq")
    assert not names.is_derived("norm.weight")
