"""Model files written out as folders, and converted back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.conversion import convert
from ggmlkit.conversion.export import export
from ggmlkit.errors import ConversionError

torch = pytest.importorskip("torch")

MakeHf = Callable[..., tuple[Path, Any]]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def assert_same(first: Path, second: Path) -> None:
    a, b = gk.open(first), gk.open(second)
    assert a.names == b.names
    for name in a:
        assert a[name].type == b[name].type
        assert np.array_equal(a[name].data, b[name].data), name
    ignored = {"general.name"}
    assert set(a.metadata) - ignored == set(b.metadata) - ignored
    for key in set(a.metadata) - ignored:
        assert np.array_equal(a.metadata[key], b.metadata[key]), key


@pytest.mark.parametrize("format", ["hf", "meta"])
@pytest.mark.parametrize(
    "changes", [{}, {"tie_word_embeddings": True}, {"rope_parameters": LLAMA3}]
)
def test_gguf_to_folder_to_gguf(
    tiny_hf: MakeHf, tmp_path: Path, format: str, changes: dict[str, Any]
) -> None:
    folder, _ = tiny_hf(**changes)
    convert(folder, tmp_path / "a.gguf", type="f32")
    export(tmp_path / "a.gguf", tmp_path / "out", format=format)
    convert(tmp_path / "out", tmp_path / "b.gguf", type="f32")
    assert_same(tmp_path / "a.gguf", tmp_path / "b.gguf")


@pytest.mark.parametrize("format", ["hf", "meta"])
@pytest.mark.parametrize("type", ["q4_0", "q4_1", "q8_0"])
def test_quantized_values_are_written_exactly(
    tiny_hf: MakeHf, tmp_path: Path, format: str, type: str
) -> None:
    folder, _ = tiny_hf()
    convert(folder, tmp_path / "q.gguf", type=type)
    export(tmp_path / "q.gguf", tmp_path / "out", format=format, dtype="f32")
    convert(tmp_path / "out", tmp_path / "f.gguf", type="f32")
    quantized, floats = gk.open(tmp_path / "q.gguf"), gk.open(tmp_path / "f.gguf")
    for name in quantized:
        assert np.array_equal(quantized[name].dequantize(), floats[name].dequantize()), name


def test_transformers_loads_the_hf_folder(tiny_hf: MakeHf, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder, model = tiny_hf()
    convert(folder, tmp_path / "m.gguf", type="f32")
    export(tmp_path / "m.gguf", tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, again(tokens).logits)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.bos_token_id == 0
    assert tokenizer.decode(tokenizer.encode("the cat, sat 12!")) == "the cat, sat 12!"


def test_torch_loads_the_meta_folder(golden: Path, tmp_path: Path) -> None:
    export(golden / "ggjt-v3-f16.bin", tmp_path / "out", format="meta", dtype="f16")
    ours = torch.load(tmp_path / "out" / "consolidated.00.pth", weights_only=True, mmap=True)
    theirs = torch.load(golden / "meta" / "consolidated.00.pth", weights_only=True)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
    params = json.loads((tmp_path / "out" / "params.json").read_text())
    assert (params["dim"], params["multiple_of"], params["n_layers"]) == (64, 256, 2)


def test_a_sentencepiece_vocabulary_becomes_a_tokenizer_json_with_the_same_ids(
    golden: Path, tmp_path: Path
) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    tokenizers = pytest.importorskip("tokenizers")
    convert(golden / "meta", tmp_path / "m.gguf")
    export(tmp_path / "m.gguf", tmp_path / "out")
    ours = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    model_file = str(golden / "meta" / "tokenizer.model")
    reference = sentencepiece.SentencePieceProcessor(model_file=model_file)
    for text in ("Hello world", "the quick brown fox", "naïve 😀\n\ttabs", "  two  spaces", "a"):
        expected = [reference.bos_id(), *reference.encode(text)]
        assert ours.encode(text).ids == expected, text


def test_progress_ends_with_all_bytes(golden: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    export(golden / "gguf-v1-q8_0.bin", tmp_path, progress=lambda *call: calls.append(call))
    assert (
        calls[-1][0]
        == calls[-1][1]
        == sum(t.size * 4 for t in gk.open(golden / "gguf-v1-q8_0.bin").tensors.values())
    )


@pytest.mark.parametrize(("format", "dtype"), [("onnx", "f32"), ("hf", "q4_0")])
def test_unknown_layouts(golden: Path, tmp_path: Path, format: str, dtype: str) -> None:
    with pytest.raises(ConversionError, match="is not one of"):
        export(golden / "ggjt-v3-f16.bin", tmp_path / "out", format=format, dtype=dtype)
    assert not (tmp_path / "out").exists()
