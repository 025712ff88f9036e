"""Which type each tensor of a quantized file gets."""

from __future__ import annotations

import numpy as np
import pytest

from ggmlkit import types
from ggmlkit.errors import ArgumentError, ConversionError, UnsupportedTypeError
from ggmlkit.quantization.recipe import plan, planned, recipe
from ggmlkit.tensor import Tensor


def tensor(*shape: int, type: str = "f16") -> Tensor:
    return Tensor(type, shape, lambda: np.empty(0, np.uint8))


MODEL = {
    "token_embd.weight": tensor(96, 64),
    "blk.0.attn_norm.weight": tensor(64, type="f32"),
    "blk.0.attn_q.weight": tensor(64, 64),
    "blk.0.ffn_down.weight": tensor(64, 100),
    "output_norm.weight": tensor(64),
    "output.weight": tensor(96, 64),
}


def names(plan: dict[str, types.TensorType]) -> dict[str, str]:
    return {name: type.name for name, type in plan.items()}


@pytest.mark.parametrize("type", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_matrices_get_the_type_and_the_logits_matrix_eight_bits(type: str) -> None:
    assert names(plan(MODEL, type)) == {
        "token_embd.weight": type,
        "blk.0.attn_norm.weight": "f32",
        "blk.0.attn_q.weight": type,
        "blk.0.ffn_down.weight": "f16",  # rows of 100 weights aren't whole blocks
        "output_norm.weight": "f32",
        "output.weight": "q8_0",
    }


@pytest.mark.parametrize(
    ("type", "smaller"),
    [("q2_K", "q4_0"), ("q4_K", "q5_0"), ("q6_K", "q8_0"), ("iq4_xs", "iq4_nl")],
)
def test_rows_that_are_not_whole_blocks_get_smaller_blocks(type: str, smaller: str) -> None:
    model = {f"{n}.weight": tensor(8, n) for n in (512, 576, 100)}
    assert list(names(plan(model, type, pure=True)).values()) == [type, smaller, "f16"]


def test_pure_includes_the_logits_matrix() -> None:
    assert names(plan(MODEL, "q4_0", pure=True))["output.weight"] == "q4_0"


def test_a_tied_embedding_is_the_logits_matrix() -> None:
    tied = {name: t for name, t in MODEL.items() if name != "output.weight"}
    assert names(plan(tied, "q5_0"))["token_embd.weight"] == "q8_0"
    assert names(plan(tied, "q5_0", pure=True))["token_embd.weight"] == "q5_0"


@pytest.mark.parametrize("type", ["f32", "f16", "bf16"])
def test_float_files_hold_all_matrices_alike(type: str) -> None:
    chosen = names(plan(MODEL, type))
    assert {chosen[name] for name, t in MODEL.items() if len(t.shape) == 2} == {type}
    assert chosen["output_norm.weight"] == "f32"


def test_integers_and_expert_routers_stay() -> None:
    model = {
        "ids": tensor(4, 32, type="i32"),
        "blk.0.ffn_gate_inp.weight": tensor(4, 64, type="f32"),
    }
    assert names(plan(model, "q4_0")) == {"ids": "i32", "blk.0.ffn_gate_inp.weight": "f32"}


@pytest.mark.parametrize("type", ["q4_2", "q4_0_v1", "i32", "nonsense"])
def test_other_types_are_refused(type: str) -> None:
    with pytest.raises(UnsupportedTypeError):
        plan(MODEL, type)


def deep(layers: int, heads: int = 8, kv_heads: int = 2) -> dict[str, Tensor]:
    """A model whose rows are whole blocks of every type."""
    model = {"token_embd.weight": tensor(64, 256), "output.weight": tensor(64, 256)}
    for i in range(layers):
        for name, rows, columns in (
            ("attn_q", 32 * heads, 256), ("attn_k", 32 * kv_heads, 256),
            ("attn_v", 32 * kv_heads, 256), ("attn_output", 256, 256),
            ("ffn_gate", 512, 256), ("ffn_up", 512, 256), ("ffn_down", 256, 512),
        ):  # fmt: skip
            model[f"blk.{i}.{name}.weight"] = tensor(rows, columns)
    return model


def test_a_mixture_gives_more_bits_where_rounding_matters() -> None:
    chosen = names(plan(deep(16), "Q4_K_M"))
    assert chosen["output.weight"] == "q6_K"
    assert chosen["token_embd.weight"] == chosen["blk.3.ffn_up.weight"] == "q4_K"
    fine = {i for i in range(16) if chosen[f"blk.{i}.ffn_down.weight"] == "q6_K"}
    # The first and last eighth, and every third between.
    assert fine == {0, 1, 4, 7, 10, 13, 14, 15}
    assert fine == {i for i in range(16) if chosen[f"blk.{i}.attn_v.weight"] == "q6_K"}


@pytest.mark.parametrize(("type", "file_type"), [("tq1_0", 36), ("tq2_0", 37), ("q2_0", 41)])
def test_two_bits_leave_the_embedding_more(type: str, file_type: int) -> None:
    assert recipe(type).file_type == file_type
    chosen = names(plan(deep(1), type))
    assert (chosen["token_embd.weight"], chosen["output.weight"]) == ("q4_K", "q6_K")
    assert chosen["blk.0.attn_v.weight"] == chosen["blk.0.ffn_down.weight"] == type


def test_rows_of_half_a_two_bit_block() -> None:
    model = {f"{n}.weight": tensor(8, n) for n in (576, 96, 100)}
    assert list(names(plan(model, "q2_0", pure=True)).values()) == ["q2_0", "q4_0", "f16"]


def test_shared_keys_are_worth_more_bits() -> None:
    assert names(plan(deep(2), "q2_k"))["blk.1.attn_v.weight"] == "q4_K"
    assert names(plan(deep(2, kv_heads=4), "q2_k"))["blk.1.attn_v.weight"] == "q3_K"


def test_pure_leaves_a_mixture_its_type() -> None:
    assert set(names(plan(deep(4), "q5_K_M", pure=True)).values()) == {"q5_K"}


def test_names_are_known_in_any_case_and_bare_ones_mean_the_middle_size() -> None:
    assert plan(deep(9), "Q4_k") == plan(deep(9), "q4_K_M")
    with pytest.raises(UnsupportedTypeError, match="to 'q4_K_XL'; did you mean 'q4_K'"):
        plan(MODEL, "q4_K_XL")
    with pytest.raises(UnsupportedTypeError, match="to 'nothing'; choose one of f32, f16"):
        plan(MODEL, "nothing")


def test_a_pattern_overrides_the_recipe() -> None:
    own = [(r"blk\.0\.attn_v", "f16"), ("attn", "q8_0"), ("output", "q5_K")]
    chosen = names(plan(deep(2), "q4_K_M", tensor_types=own))
    assert chosen["blk.0.attn_v.weight"] == "f16"
    assert chosen["blk.1.attn_v.weight"] == chosen["blk.0.attn_output.weight"] == "q8_0"
    assert chosen["output.weight"] == "q5_K"
    assert chosen["blk.1.ffn_down.weight"] == "q6_K"
    with pytest.raises(ArgumentError, match="is not a regular expression"):
        plan(MODEL, "q4_0", tensor_types=[("(", "q8_0")])
    with pytest.raises(UnsupportedTypeError, match="no kernel to write nvfp4"):
        plan(MODEL, "q4_0", tensor_types=[("attn", "nvfp4")])


# llama-quantize's choice in a model of 16 layers whose key heads serve one query head each: of
# attn_q, attn_k, attn_v and attn_output; of ffn_gate and ffn_down in the first and in a middle
# layer; of the embeddings and the output.
FEW_BITS = {
    "iq1_s": "iq1_s iq1_s q2_K iq2_xxs iq1_s q2_K iq1_s iq1_s q2_K q5_K",
    "iq1_m": "iq1_m iq1_m q2_K iq2_xxs iq1_m q2_K iq1_m iq1_m q2_K q5_K",
    "iq2_xxs": "iq2_xxs iq2_xxs q2_K iq2_xxs iq2_xxs q2_K iq2_xxs iq2_xxs q2_K q5_K",
    "iq2_xs": "iq2_xs iq2_xs q2_K iq2_xs iq2_xs q2_K iq2_xs iq2_xs q2_K q5_K",
    "iq2_s": "iq2_xs iq2_xs iq3_s iq3_s iq2_xs iq3_s iq2_xs iq2_xs iq3_s q5_K",
    "iq2_m": "iq2_s iq2_s iq3_s iq3_s iq2_s iq3_s iq2_s iq2_s iq3_s q5_K",
    "iq3_xxs": "iq2_s iq2_s iq3_xxs iq3_s iq3_xxs iq3_xxs iq3_xxs iq3_xxs iq3_s q5_K",
    "iq3_xs": "iq3_xxs iq3_xxs iq3_s iq3_s iq3_s iq3_s iq3_xxs iq3_s iq3_s q6_K",
    "iq3_s": "iq3_s iq3_s iq3_s iq3_s iq3_s iq3_s iq3_s iq3_s iq3_s q6_K",
    "iq3_m": "iq3_s iq3_s q4_K q4_K iq3_s q4_K iq3_s iq3_s iq3_s q6_K",
}


@pytest.mark.parametrize("type", FEW_BITS)
def test_mixtures_of_few_bits(type: str) -> None:
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down")
    model = {f"blk.{n}.{part}.weight": tensor(256, 256) for n in range(16) for part in parts}
    model |= {name: tensor(256, 256) for name in ("token_embd.weight", "output.weight")}
    shown = [f"blk.0.{part}.weight" for part in parts]
    shown += ["blk.8.ffn_gate.weight", "blk.8.ffn_down.weight", "token_embd.weight"]
    chosen = names(plan(model, type, weighted=True))
    assert " ".join(chosen[name] for name in [*shown, "output.weight"]) == FEW_BITS[type]
    narrow = {name: tensor(64, 576) for name in ("blk.0.attn_q.weight", "output.weight")}
    assert names(plan(narrow, type, weighted=True)) == {
        "blk.0.attn_q.weight": "iq4_nl",
        "output.weight": "q8_0",
    }
    shared = model | {"blk.0.attn_k.weight": tensor(64, 256)}
    assert names(plan(shared, type, weighted=True))["blk.0.attn_v.weight"] == "q4_K"


@pytest.mark.parametrize("pattern", ["atn_v", "norm", "^attn_v", "^$", "ffn_gate_inp"])
def test_a_pattern_that_matches_no_matrix_is_refused(pattern: str) -> None:
    own = [("attn_v", "q8_0"), (pattern, "q6_K")]
    model = MODEL | {"blk.0.ffn_gate_inp.weight": tensor(8, 64)}
    with pytest.raises(
        ConversionError, match="matches the name of no matrix whose type can be chosen; one that"
    ):
        plan(model, "q4_0", tensor_types=own)


def test_notes_say_which_types_changed_and_why() -> None:
    model = {f"blk.{n}.attn_q.weight": tensor(576, 576) for n in range(30)}
    model |= {f"blk.{n}.ffn_down.weight": tensor(576, 1536) for n in range(30)}
    model |= {"token_embd.weight": tensor(96, 576), "output_norm.weight": tensor(576)}
    chosen = planned(model, "q4_K_M")
    assert chosen.notes(model) == [
        "rows of 576 weights cannot be cut into blocks of 256, so 31 of 61 matrices get another "
        "type: 30 q5_0 instead of q4_K, 1 q8_0 instead of q6_K"
    ]
    assert chosen.types == plan(model, "q4_K_M")
    assert {name: kind.name for name, kind in chosen.replaced.items()} == {
        name: "q6_K" if name == "token_embd.weight" else "q4_K"
        for name, kind in model.items()
        if kind.shape == (576, 576) or name == "token_embd.weight"
    }


def test_a_note_says_that_weights_lose_precision_twice() -> None:
    model = {f"blk.{n}.attn_q.weight": tensor(32, 256, type="q4_1") for n in range(3)}
    model["output.weight"] = tensor(32, 256, type="q6_K")
    assert planned(model, "q4_K_M").notes(model) == [
        "3 matrices are quantized already (q4_1), and lose precision a second time; start from an "
        "f32, f16 or bf16 file to lose it only once"
    ]
    assert planned(model, "f16").notes(model) == []
