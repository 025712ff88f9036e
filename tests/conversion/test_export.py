"""Model files exported as folders, and converted back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from ggmlkit.conversion.convert import convert
from ggmlkit.conversion.export import export
from ggmlkit.errors import ConversionError
from ggmlkit.io.foreign.safetensors import open_safetensors

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
    export(tmp_path / "q.gguf", tmp_path / "out", format=format, type="f32")
    convert(tmp_path / "out", tmp_path / "f.gguf", type="f32")
    quantized, floats = gk.open(tmp_path / "q.gguf"), gk.open(tmp_path / "f.gguf")
    for name in quantized:
        assert np.array_equal(quantized[name].dequantize(), floats[name].dequantize()), name


def test_transformers_loads_the_hf_folder(tiny_hf: MakeHf, tmp_path: Path) -> None:
    import transformers

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
    export(golden / "ggjt-v3-f16.bin", tmp_path / "out", format="meta", type="f16")
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
    import sentencepiece
    import tokenizers

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
        export(golden / "ggjt-v3-f16.bin", tmp_path / "out", format=format, type=dtype)
    assert not (tmp_path / "out").exists()


def bits(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of every tensor in a folder's safetensors files, by name."""
    found = {}
    for path in folder.glob("*.safetensors"):
        for name, tensor in open_safetensors(path).tensors.items():
            found[name] = (tensor.type.name, tensor.shape, tensor.data.tobytes())
    return found


CONFIG_MEANING = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "dtype",
)


@pytest.mark.parametrize("type", ["f16", "bf16", "f32"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": True}, {"head_dim": 32}, {"rope_parameters": LLAMA3}],
    ids=["plain", "tied", "head size", "llama3"],
)
def test_a_checkpoint_comes_back_bit_for_bit(
    tiny_hf: MakeHf, tmp_path: Path, type: str, changes: dict[str, Any]
) -> None:
    import transformers

    folder, model = tiny_hf(eos_token_id=[1, 2, 3], **changes)
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}[type]
    for parameter in model.parameters():  # norms of one would be exact in any type
        torch.nn.init.normal_(parameter, std=0.1)
    model.to(dtype).save_pretrained(folder)
    convert(folder, tmp_path / "m.gguf", type=type)
    export(tmp_path / "m.gguf", tmp_path / "back")
    assert bits(tmp_path / "back") == bits(folder)
    theirs, ours = (
        transformers.AutoConfig.from_pretrained(path).to_dict()
        for path in (folder, tmp_path / "back")
    )
    for key in CONFIG_MEANING:
        assert ours[key] == theirs[key], key


def test_float_types_are_kept_and_quantized_ones_become_f32(
    tiny_hf: MakeHf, tmp_path: Path
) -> None:
    folder, _ = tiny_hf()
    for type, kept in (("f16", "f16"), ("bf16", "bf16"), ("q8_0", "f32")):
        convert(folder, tmp_path / "m.gguf", type=type)
        export(tmp_path / "m.gguf", tmp_path / type)
        matrices = {kind for kind, shape, _ in bits(tmp_path / type).values() if len(shape) > 1}
        assert matrices == {kept}
        config = json.loads((tmp_path / type / "config.json").read_text())
        assert config["torch_dtype"] == {"f16": "float16", "bf16": "bfloat16"}.get(kept, "float32")


def test_vectors_that_the_matrices_type_does_not_hold_stay_exact(
    tiny_hf: MakeHf, tmp_path: Path
) -> None:
    folder, model = tiny_hf()
    torch.nn.init.constant_(model.model.norm.weight, 1 + 2.0**-20)
    model.save_pretrained(folder)
    convert(folder, tmp_path / "m.gguf", type="f16")
    export(tmp_path / "m.gguf", tmp_path / "kept")
    export(tmp_path / "m.gguf", tmp_path / "rounded", type="f16")
    kept = bits(tmp_path / "kept")["model.norm.weight"]
    assert kept[0] == "f32"
    assert (np.frombuffer(kept[2], np.float32) == 1 + 2.0**-20).all()
    assert bits(tmp_path / "rounded")["model.norm.weight"][0] == "f16"


@pytest.mark.parametrize("size", [1, 30_000, 60_000])
def test_shards_with_an_index(tiny_hf: MakeHf, tmp_path: Path, size: int) -> None:
    import transformers

    folder, model = tiny_hf()
    convert(folder, tmp_path / "m.gguf", type="f32")
    export(tmp_path / "m.gguf", tmp_path / "out", shard_size=size)
    export(tmp_path / "m.gguf", tmp_path / "whole")
    assert bits(tmp_path / "out") == bits(tmp_path / "whole")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert shards == [
        f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))
    ]
    assert set(index["weight_map"].values()) == set(shards)
    assert index["metadata"]["total_size"] == sum(
        len(data) for _, _, data in bits(tmp_path / "out").values()
    )
    for name in shards:
        held = open_safetensors(tmp_path / "out" / name).tensors
        assert len(held) == 1 or sum(tensor.nbytes for tensor in held.values()) <= size
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, again(tokens).logits)
    convert(tmp_path / "out", tmp_path / "again.gguf", type="f32")
    assert_same(tmp_path / "m.gguf", tmp_path / "again.gguf")


@pytest.mark.parametrize("type", ["f16", "q4_0", "bf16"])
def test_numpy_loads_the_archive(tiny_hf: MakeHf, tmp_path: Path, type: str) -> None:
    import transformers

    folder, model = tiny_hf()
    convert(folder, tmp_path / "m.gguf", type=type)
    export(tmp_path / "m.gguf", tmp_path / "m.npz", format="npz")
    export(tmp_path / "m.gguf", tmp_path / "hf", type="f32")
    expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").state_dict()
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        assert set(archive) == set(expected)
        assert archive["lm_head.weight"].dtype == (np.float16 if type == "f16" else np.float32)
        for name in archive:
            assert np.array_equal(archive[name].astype(np.float32), expected[name].numpy()), name
        loaded = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive}
    model.load_state_dict(loaded)
    with pytest.raises(ConversionError, match="numpy has no bf16"):
        export(tmp_path / "m.gguf", tmp_path / "m.npz", format="npz", type="bf16")


def test_ggjt_to_transformers(golden: Path, tmp_path: Path) -> None:
    import transformers

    export(golden / "ggjt-v3-f16.bin", tmp_path / "out", type="f32")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokens = [1, 3, 5, 100, 383]
    with torch.no_grad():
        theirs = model(torch.tensor([tokens])).logits[0].numpy()
    ours = gk.Llama(golden / "ggjt-v3-f16.bin", activation_bits=16).logits(tokens)
    assert np.abs(theirs - ours).max() < 2e-3 * np.abs(theirs).max()


@pytest.mark.parametrize(
    "name", ["tokenizer.model", "pytorch_model.bin", "model-00001-of-00002.safetensors"]
)
def test_a_folder_with_files_of_another_checkpoint_is_refused(
    golden: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"another's")
    with pytest.raises(ConversionError, match=f"has {name} of another checkpoint"):
        export(golden / "ggjt-v3-f16.bin", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_other_files_stay_and_those_of_the_same_names_are_replaced(
    golden: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("mine")
    export(golden / "ggjt-v3-f16.bin", tmp_path, type="f32")
    first = bits(tmp_path)
    export(golden / "ggjt-v3-q4_0.bin", tmp_path)
    assert bits(tmp_path) != first
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_failed_export_leaves_the_folder_as_it_was(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"

    def fail(done: int, *_: object) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(golden / "ggjt-v3-f16.bin", out, progress=fail)
    assert list(tmp_path.iterdir()) == []
    export(golden / "ggjt-v3-f16.bin", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        export(golden / "ggjt-v3-q5_0.bin", out, progress=fail)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_smollm2_there_and_back(smollm2_gguf: Path, tmp_path: Path) -> None:
    """The real model: the names and bytes of all tensors, and all tokens, come back."""
    export(smollm2_gguf, tmp_path / "first", type="f16")
    convert(tmp_path / "first", tmp_path / "m.gguf", type="f16")
    export(tmp_path / "m.gguf", tmp_path / "second")
    assert bits(tmp_path / "first") == bits(tmp_path / "second")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
