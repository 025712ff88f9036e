"""Adapters between gguf and ggla, and their sums with weights of every kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.errors import ConversionError, FormatError, UnsupportedTypeError
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.tensor import Tensor
from paths import GOLDEN
from peak_memory import printed

GGLA = GOLDEN / "lora-ggla.bin"
BASE = GOLDEN / "ggjt-v3-f16.bin"
TOKENS: list[int] = json.loads((GOLDEN / "manifest.json").read_text())["tokens"]
META: dict[str, Any] = {
    "general.architecture": "llama",
    "general.type": "adapter",
    "adapter.type": "lora",
    "adapter.lora.alpha": 8.0,
}
Q = "blk.0.attn_q.weight"


def floats(*shape: int, seed: int = 0, type: str = "f32") -> Tensor:
    return gk.quantize(np.random.default_rng(seed).standard_normal(shape, np.float32), type)


def gguf_adapter(path: Path, tensors: Mapping[str, Tensor], **changes: Any) -> Path:
    metadata = {k: v for k, v in (META | changes).items() if v is not None}
    gk.save(path, tensors, metadata, container="gguf")
    return path


def pair(name: str, rows: int, rank: int, columns: int, type: str = "f32") -> dict[str, Tensor]:
    return {
        f"{name}.lora_a": floats(rank, columns, seed=1, type=type),
        f"{name}.lora_b": floats(rows, rank, seed=2, type=type),
    }


def updates(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """``scale * B @ A`` of each weight of an adapter, float64."""
    adapter = open_adapter(path)
    found = {
        name: each.scale * (each.b.dequantize().astype(np.float64) @ each.a.dequantize())
        for name, each in adapter.updates.items()
    }
    adapter.close()
    return found


# ------------------------------------------------------------------------- containers


def test_ggla_becomes_gguf_and_the_same_ggla_again(tmp_path: Path) -> None:
    gk.convert(GGLA, tmp_path / "a.gguf")
    gk.convert(tmp_path / "a.gguf", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == GGLA.read_bytes()


def test_a_gguf_adapter_is_as_llama_cpp_has_it(tmp_path: Path) -> None:
    gk.convert(GGLA, tmp_path / "a.gguf")
    with gk.open(tmp_path / "a.gguf") as file, gk.open(GGLA) as old:
        assert {k: file.metadata[k] for k in META} == META
        assert file.value_types["adapter.lora.alpha"] == 6  # float32
        a, b = old["layers.0.attention.wq.weight.loraA"], old["layers.0.attention.wq.weight.loraB"]
        assert np.array_equal(file[f"{Q}.lora_a"].numpy(), a.numpy().T)
        assert np.array_equal(file[f"{Q}.lora_b"].numpy(), b.numpy())
        assert len(file) == len(old)


def test_embeddings_are_swapped_in_gguf(tmp_path: Path) -> None:
    """llama.cpp looks up a row for each token: lora_a (vocabulary, rank), lora_b (width, rank)."""
    tensors = {
        "token_embd.weight.lora_a": floats(384, 3),
        "token_embd.weight.lora_b": floats(64, 3, seed=1),
    }
    gguf_adapter(tmp_path / "a.gguf", tensors)
    a, b = (tensor.numpy().astype(np.float64) for tensor in tensors.values())
    found = updates(tmp_path / "a.gguf")["token_embd.weight"]
    np.testing.assert_allclose(found, 8 / 3 * a @ b.T)
    gk.convert(tmp_path / "a.gguf", tmp_path / "b.ggla")
    gk.convert(tmp_path / "b.ggla", tmp_path / "c.gguf")
    np.testing.assert_allclose(updates(tmp_path / "c.gguf")["token_embd.weight"], found, rtol=1e-5)


def test_ranks_and_scales_that_differ_survive_both_containers(tmp_path: Path) -> None:
    """ggla has one rank and one integer alpha for all weights; gguf has one alpha."""
    tensors = pair(Q, 64, 3, 64) | pair("blk.1.ffn_down.weight", 64, 7, 256)
    for alpha in (0.3, 8.0, -2.5, None):
        gguf_adapter(tmp_path / "a.gguf", tensors, **{"adapter.lora.alpha": alpha})
        wanted = updates(tmp_path / "a.gguf")
        gk.convert(tmp_path / "a.gguf", tmp_path / "b.ggla")
        gk.convert(tmp_path / "b.ggla", tmp_path / "c.gguf")
        for path in (tmp_path / "b.ggla", tmp_path / "c.gguf"):
            found = updates(path)
            assert found.keys() == wanted.keys()
            for name, values in wanted.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_no_alpha_means_that_the_values_are_scaled_already(tmp_path: Path) -> None:
    for alpha, scale in ((None, 1.0), (0.0, 1.0), (6.0, 2.0)):
        gguf_adapter(tmp_path / "a.gguf", pair(Q, 64, 3, 64), **{"adapter.lora.alpha": alpha})
        adapter = open_adapter(tmp_path / "a.gguf")
        assert adapter.updates[Q].scale == scale
        adapter.close()


@pytest.mark.parametrize("type", ["f32", "f16", "bf16", "q8_0"])
def test_matrices_keep_their_type_by_default(tmp_path: Path, type: str) -> None:
    gguf_adapter(tmp_path / "a.gguf", pair(Q, 64, 32, 64, type))
    gk.convert(tmp_path / "a.gguf", tmp_path / "b.gguf")
    gk.convert(tmp_path / "a.gguf", tmp_path / "c.ggla")
    gk.convert(tmp_path / "a.gguf", tmp_path / "d.gguf", type="f16")
    kept = "f32" if type == "q8_0" else type
    old = "f32" if type == "bf16" else kept  # programs of ggla's time can't read bf16
    for name, wanted in (("b.gguf", kept), ("c.ggla", old), ("d.gguf", "f16")):
        with gk.open(tmp_path / name) as file:
            assert {tensor.type.name for tensor in file.values()} == {wanted}
    exact, rounded = (updates(tmp_path / name)[Q] for name in ("a.gguf", "d.gguf"))
    np.testing.assert_allclose(rounded, exact, atol=0.02 * np.abs(exact).max())
    np.testing.assert_array_equal(updates(tmp_path / "c.ggla")[Q], exact)


def test_what_an_adapter_cannot_be_written_as(tmp_path: Path) -> None:
    for out, settings, reason in (
        ("a.xyz", {}, "written as gguf or ggla: end a.xyz in"),
        ("a.gguf", {"container": "ggjt"}, "written as gguf or ggla"),
        ("a.gguf", {"type": "q4_0"}, "stored as f32, f16 or bf16, not q4_0"),
    ):
        with pytest.raises(ConversionError, match=reason):
            gk.convert(GGLA, tmp_path / out, **settings)
    with pytest.raises(ConversionError, match="is not an adapter, and only adapters have a"):
        gk.convert(BASE, tmp_path / "a.gguf", base=BASE)
    gguf_adapter(tmp_path / "big.gguf", {f"{Q}.lora_a": floats(2, 64), f"{Q}.lora_b": huge(64, 2)})
    with pytest.raises(ConversionError, match=r"lora_b' holds .* at \(0, 0\), too large for f16"):
        gk.convert(tmp_path / "big.gguf", tmp_path / "a.gguf", type="f16")
    assert not list(tmp_path.glob("a*"))


def huge(*shape: int) -> Tensor:
    return gk.quantize(np.full(shape, 1e6, np.float32), "f32")


@pytest.mark.parametrize(
    ("tensors", "settings", "error", "reason"),
    [
        (pair(Q, 64, 4, 64), {"adapter.type": "control_vector"}, ConversionError, "of type 'contr"),
        (pair(Q, 64, 4, 64), {"adapter.lora.alpha": "8"}, FormatError, "is '8', not a number"),
        (pair(Q, 64, 4, 64), {"adapter.lora.alpha": float("nan")}, FormatError, "the scale nan"),
        (
            pair(Q, 64, 4, 64),
            {"adapter.alora.invocation_tokens": [1, 2]},
            ConversionError,
            r"alora\.invocation_tokens is not supported",
        ),
        ({f"{Q}.lora_a": floats(4, 64)}, {}, FormatError, r"no partner \S+lora_b"),
        ({f"{Q}.lora_b": floats(64, 4)}, {}, FormatError, r"no partner \S+lora_a"),
        ({"output_norm.weight": floats(64)}, {}, ConversionError, "no place for the tensor output"),
        ({".lora_a": floats(1, 1)}, {}, FormatError, "no partner"),
        ({}, {}, ConversionError, "changes no weight"),
        (
            {f"{Q}.lora_a": floats(4, 64), f"{Q}.lora_b": floats(4, 64)},
            {},
            FormatError,
            r"shapes are \(4, 64\) and \(4, 64\)",
        ),
        ({f"{Q}.lora_a": floats(64), f"{Q}.lora_b": floats(64)}, {}, FormatError, "shapes are"),
    ],
)
def test_what_is_wrong_with_a_gguf_adapter(
    tmp_path: Path,
    tensors: dict[str, Tensor],
    settings: dict[str, Any],
    error: type[Exception],
    reason: str,
) -> None:
    gguf_adapter(tmp_path / "a.gguf", tensors, **settings)
    with pytest.raises(error, match=reason) as caught:
        open_adapter(tmp_path / "a.gguf")
    assert "a.gguf" in str(caught.value)


def test_files_that_are_not_adapters() -> None:
    with pytest.raises(ConversionError, match="is not a LoRA adapter"):
        open_adapter(BASE)
    with pytest.raises(ConversionError, match=r"give the folder that has its adapter_config\.json"):
        open_adapter(GOLDEN / "lora-peft" / "adapter_model.bin")


# ------------------------------------------------------------------------------- sums


def test_the_golden_adapter_gives_the_logits_of_its_time(tmp_path: Path) -> None:
    wanted = np.load(GOLDEN / "ggjt-v3-f16+lora.logits.npy")
    effect = np.abs(np.load(GOLDEN / "ggjt-v3-f16.logits.npy") - wanted).max()
    gk.apply_lora(BASE, [GGLA], tmp_path / "merged.gguf", type="f32")
    merged = gk.Llama(tmp_path / "merged.gguf", threads=1)
    running = gk.Llama(BASE, lora=[GGLA], threads=1)
    for llama in (merged, running):
        assert np.abs(llama.logits(TOKENS) - wanted).max() < 0.02 * effect


@pytest.mark.parametrize(
    "base", ["ggjt-v3-q4_0.bin", "ggjt-v1-q5_0.bin", "gguf-v3-be-f16.bin", "gguf-v1-q8_0.bin"]
)
def test_a_sum_is_computed_in_float32_and_rounded_to_the_bases_type(
    tmp_path: Path, base: str
) -> None:
    gk.apply_lora(GOLDEN / base, [(GGLA, -0.75)], tmp_path / "m.gguf")
    added = updates(GGLA)
    gk.convert(GOLDEN / base, tmp_path / "base.gguf", type="f32")
    with gk.open(tmp_path / "m.gguf") as merged, gk.open(tmp_path / "base.gguf") as exact:
        assert list(merged) == list(exact)
        for name, tensor in merged.items():
            values = exact[name].dequantize()
            if name in added:
                sums = values + (-0.75 * added[name]).astype(np.float32)
                rounded = gk.quantize(sums, tensor.type).dequantize()
                # If two sums of floats differ in their last bit, they can be rounded differently.
                assert np.mean(rounded != tensor.dequantize()) < 0.01, name
                np.testing.assert_allclose(tensor.dequantize(), sums, atol=0.1)
            else:
                assert np.array_equal(tensor.dequantize(), values), name
        types = {t.type.name for n, t in merged.items() if "attn_q" in n}
        assert types == {base.removesuffix(".bin").rpartition("-")[2]}


def test_a_folder_is_a_base_too_and_ggjt_a_result(tmp_path: Path) -> None:
    gk.apply_lora(GOLDEN / "meta", [GGLA], tmp_path / "a.gguf")
    gk.apply_lora(GOLDEN / "meta", [GGLA], tmp_path / "b.bin", type="q8_0")
    with gk.open(tmp_path / "a.gguf") as one, gk.open(tmp_path / "b.bin") as other:
        assert one[Q].type.name == "f16"
        assert one.metadata["general.file_type"] == 1
        assert one["output_norm.weight"].type.name == "f32"
        assert (other.container, other["layers.0.attention.wq.weight"].type.name) == (
            "ggjt",
            "q8_0",
        )


def test_a_base_with_an_old_layout_needs_a_type(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTypeError, match="q4_2, an old layout that new files can't"):
        gk.apply_lora(GOLDEN / "ggjt-v1-q4_2.bin", [GGLA], tmp_path / "m.gguf")
    gk.apply_lora(GOLDEN / "ggjt-v1-q4_2.bin", [GGLA], tmp_path / "m.gguf", type="q5_0")


def test_a_failed_sum_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "m.gguf"
    gk.apply_lora(BASE, [GGLA], out)
    before = out.read_bytes()
    tensors = {f"{Q}.lora_a": floats(2, 64), f"{Q}.lora_b": huge(64, 2)}
    gguf_adapter(tmp_path / "big.gguf", tensors)
    with pytest.raises(ConversionError, match=r"attn_q\.weight' holds .*too large for f16"):
        gk.apply_lora(BASE, [tmp_path / "big.gguf"], out)
    nan = {
        f"{Q}.lora_a": floats(2, 64),
        f"{Q}.lora_b": gk.quantize(np.full((64, 2), np.nan), "f32"),
    }
    gguf_adapter(tmp_path / "nan.gguf", nan)
    with pytest.raises(ConversionError, match=r"attn_q\.weight' holds nan at \(0, 0\)"):
        gk.apply_lora(BASE, [tmp_path / "nan.gguf"], out, type="q8_0")
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.gguf", "m.gguf", "nan.gguf"]


def test_a_base_of_another_architecture_is_refused(tmp_path: Path) -> None:
    gguf_adapter(tmp_path / "a.gguf", pair(Q, 64, 4, 64), **{"general.architecture": "qwen2"})
    with pytest.raises(ConversionError, match="architecture 'qwen2', not 'llama'"):
        gk.apply_lora(BASE, [tmp_path / "a.gguf"], tmp_path / "m.gguf")


MEASURE = """
import sys
import ggmlkit as gk
gk.apply_lora(sys.argv[4], sys.argv[5:], sys.argv[3])  # memory of loading the libraries
before = peak()
gk.apply_lora(sys.argv[1], [sys.argv[2]], sys.argv[3])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_a_few_tensors(tmp_path: Path) -> None:
    """Twelve matrices of 16 MB, each with an update: at most three of them, and some slack."""
    largest = 2 * 2048 * 4096
    big = Tensor("f16", (2048, 4096), np.zeros(largest, np.uint8))
    names = [f"blk.{n}.ffn_up.weight" for n in range(12)]
    gk.save(
        tmp_path / "large.gguf",
        dict.fromkeys(names, big),
        {"general.architecture": "llama", "general.file_type": 1},
    )
    halves = {half: t for name in names for half, t in pair(name, 2048, 8, 4096).items()}
    gguf_adapter(tmp_path / "a.gguf", halves)
    words = [tmp_path / "large.gguf", tmp_path / "a.gguf", tmp_path / "out.gguf", BASE, GGLA]
    assert printed(MEASURE, *words) < 3 * largest + 32e6


def test_a_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = gguf_adapter(tmp_path / "a.gguf", pair(Q, 64, 4, 64))
    gk.convert(BASE, tmp_path / "model.gguf")
    read: list[str] = []
    opening = GgufFile.__init__

    def counted(self: GgufFile, path: Path, *rest: Any) -> None:
        read.append(Path(path).name)
        opening(self, path, *rest)

    monkeypatch.setattr(GgufFile, "__init__", counted)
    gk.convert(adapter, tmp_path / "b.bin")
    assert read == ["a.gguf"]
    gk.convert(tmp_path / "model.gguf", tmp_path / "b.gguf")
    assert read == ["a.gguf", "model.gguf"]
    with pytest.raises(ConversionError, match="not an adapter"):
        gk.convert(tmp_path / "model.gguf", tmp_path / "b.gguf", base=BASE)
    gk.Llama(tmp_path / "model.gguf", lora=adapter)
    assert read[2:] == ["model.gguf", "model.gguf", "a.gguf"]
