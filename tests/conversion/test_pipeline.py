"""From any model file or folder to a model file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.conversion.convert import convert
from ggmlkit.errors import ConversionError, ImportanceError, UnsupportedTypeError
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.tensor import Tensor
from paths import GOLDEN
from peak_memory import printed

MakeHf = Callable[..., tuple[Path, Any]]
GOLDEN_FILES = sorted(GOLDEN.glob("gg*.bin"))


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda p: p.name)
def test_every_golden_file_becomes_a_gguf_with_the_same_values(path: Path, tmp_path: Path) -> None:
    convert(path, tmp_path / "m.gguf", type="f32")
    _, tensors = as_gguf(gk.open(path))
    converted = gk.open(tmp_path / "m.gguf")
    assert set(converted.names) == set(tensors)
    for name, tensor in tensors.items():
        assert np.array_equal(converted[name].numpy(), tensor.dequantize()), name


def test_gguf_to_ggjt_and_back(golden: Path, tmp_path: Path) -> None:
    convert(golden / "meta", tmp_path / "a.gguf", type="q5_0")
    convert(tmp_path / "a.gguf", tmp_path / "b.bin", type="q5_0")
    convert(tmp_path / "b.bin", tmp_path / "c.gguf", type="q5_0")
    a, c = gk.open(tmp_path / "a.gguf"), gk.open(tmp_path / "c.gguf")
    assert set(a.names) == set(c.names)
    for name in a:
        assert np.array_equal(a[name].data, c[name].data), name
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        assert np.array_equal(a.metadata[key], c.metadata[key]), key


def test_the_container_comes_from_the_suffix_or_the_option(golden: Path, tmp_path: Path) -> None:
    convert(golden / "meta", tmp_path / "m.model", container="gguf")
    assert gk.open(tmp_path / "m.model").container == "gguf"
    with pytest.raises(ConversionError, match="names no container"):
        convert(golden / "meta", tmp_path / "m.xyz")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "grouped attention"),
        ({"num_key_value_heads": 4, "head_dim": 32}, "head size"),
        (
            {
                "num_key_value_heads": 4,
                "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
            },
            "rope scaling",
        ),
        (
            {
                "num_key_value_heads": 4,
                "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
            },
            "base 500000",
        ),
        ({"num_key_value_heads": 4}, "SentencePiece"),
    ],
)
def test_what_ggjt_cannot_hold(
    tiny_hf: MakeHf, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    folder, _ = tiny_hf(**changes)
    with pytest.raises(ConversionError, match=named):
        convert(folder, tmp_path / "m.bin", type="f16")
    assert not (tmp_path / "m.bin").exists()


def test_rows_that_are_not_whole_blocks_become_f16(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf(intermediate_size=80)
    convert(folder, tmp_path / "m.gguf", type="q8_0")
    file = gk.open(tmp_path / "m.gguf")
    assert file["blk.0.ffn_down.weight"].type.name == "f16"
    assert file["blk.0.ffn_up.weight"].type.name == "q8_0"


def test_values_beyond_float16_are_refused(golden: Path, tmp_path: Path) -> None:
    metadata, tensors = as_gguf(gk.open(golden / "ggjt-v3-f16.bin"))
    values = np.full((384, 64), 1e6, np.float32)
    big = Tensor("f32", values.shape, values.reshape(-1).view(np.uint8), "output.weight")
    gk.save(tmp_path / "big.gguf", {**tensors, "output.weight": big}, metadata)
    with pytest.raises(
        ConversionError,
        match=r"output\.weight' holds 1000000 at \(0, 0\), too large for f16; use f32, bf16",
    ):
        convert(tmp_path / "big.gguf", tmp_path / "m.gguf", type="f16")
    convert(tmp_path / "big.gguf", tmp_path / "m.gguf", type="bf16")


@pytest.mark.parametrize("type", ["q4_0_v1", "f12"])
def test_types_that_cannot_be_written(golden: Path, tmp_path: Path, type: str) -> None:
    with pytest.raises(UnsupportedTypeError):
        convert(golden / "meta", tmp_path / "m.gguf", type=type)


def test_a_type_that_needs_importance_says_how_to_get_it(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportanceError, match=r"iq2_xxs without .* `ggmlkit imatrix`"):
        convert(golden / "meta", tmp_path / "m.gguf", type="iq2_xxs")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_conversion_leaves_the_old_file(meta_copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.gguf"
    convert(meta_copy, out)
    before = out.read_bytes()
    (meta_copy / "params.json").write_text("{}")
    with pytest.raises(ConversionError):
        convert(meta_copy, out)
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf", "meta"]


MEASURE = """
import sys
from ggmlkit.conversion.convert import convert
import ggmlkit.quantization.file, ggmlkit.conversion.hf.folder, ggmlkit.io.gguf.writer
before = peak()
convert(sys.argv[1], sys.argv[2], type=sys.argv[3])
print(peak() - before)
"""


@pytest.mark.parametrize("type", ["f16", "q4_0"])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_a_few_tensors(tiny_hf: MakeHf, tmp_path: Path, type: str) -> None:
    """A model of 210 MB whose largest tensor has 16 MB: at most three of them, and some slack."""
    folder, model = tiny_hf(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=3, num_attention_heads=16
    )
    weights = sum(p.numel() * 4 for p in model.parameters())
    largest = 4 * 1024 * 4096
    assert weights > 10 * largest
    assert printed(MEASURE, folder, tmp_path / "m.gguf", type) < 3 * largest + 32e6
