"""Which type each tensor of a quantized file gets."""

from __future__ import annotations

import numpy as np
import pytest

from ggmlkit import types
from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.quantization.recipe import plan
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
        "blk.0.ffn_down.weight": "f16",  # 100 weights aren't whole blocks
        "output_norm.weight": "f32",
        "output.weight": "q8_0",
    }


@pytest.mark.parametrize(
    ("type", "smaller"),
    [("q2_K", "q4_0"), ("q4_K", "q5_0"), ("q6_K", "q8_0"), ("iq4_xs", "iq4_nl")],
)
def test_rows_of_no_whole_blocks_get_smaller_blocks(type: str, smaller: str) -> None:
    model = {f"{n}.weight": tensor(8, n) for n in (512, 576, 100)}
    assert list(names(plan(model, type, pure=True)).values()) == [type, smaller, "f16"]


def test_pure_makes_no_exception_for_the_logits_matrix() -> None:
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
