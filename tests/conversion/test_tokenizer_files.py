"""Which file of a folder the vocabulary comes from, and vocabularies that the user gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.errors import ConversionError, FormatError

MakeHf = Callable[..., tuple[Path, Any]]


def vocabulary(path: Path) -> dict[str, Any]:
    with gk.open(path) as file:
        return {k: v for k, v in file.metadata.items() if k.startswith("tokenizer.")}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_a_missing_tokenizer_says_what_to_give(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        ConversionError,
        match=r"has no tokenizer\.model, tokenizer\.json, or vocab\.json with merges\.txt.*--vocab",
    ):
        gk.convert(folder, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "gguf", "vocab.json"])
def test_a_given_vocabulary_serves_as_well(tiny_hf: MakeHf, tmp_path: Path, kind: str) -> None:
    folder, _ = tiny_hf()
    gk.convert(folder, tmp_path / "own.gguf")
    other = tmp_path / "tokenizer"
    other.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(folder / name, other / name)
    if kind == "vocab.json":
        import tokenizers

        tokenizers.Tokenizer.from_file(str(other / "tokenizer.json")).model.save(str(other))
        (other / "tokenizer.json").unlink()
        (other / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}')
    given = {
        "folder": other,
        "file": other / "tokenizer.json",
        "gguf": tmp_path / "own.gguf",
        "vocab.json": other / "vocab.json",
    }
    gk.convert(folder, tmp_path / "m.gguf", vocab=given[kind])
    found = vocabulary(tmp_path / "m.gguf")
    if kind == "vocab.json":
        assert found["tokenizer.ggml.pre"] == "qwen2"
        assert found["tokenizer.ggml.bos_token_id"] == 0  # from config.json
    else:
        assert same(found, vocabulary(tmp_path / "own.gguf"))


def test_a_given_vocabulary_replaces_a_files_own(
    golden: Path, tmp_path: Path, tiny_hf: MakeHf
) -> None:
    folder, _ = tiny_hf(vocab_size=384)
    gk.convert(golden / "ggjt-v3-f16.bin", tmp_path / "m.gguf", vocab=folder)
    found = vocabulary(tmp_path / "m.gguf")
    assert found["tokenizer.ggml.model"] == "gpt2"
    assert "tokenizer.ggml.scores" not in found
    assert found["tokenizer.ggml.tokens"][-1] == "<unused383>"


def test_a_damaged_vocabulary_can_be_replaced(
    tiny_hf: MakeHf, tmp_path: Path, golden: Path
) -> None:
    folder, _ = tiny_hf(vocab_size=384)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(FormatError, match=r"tokenizer\.json: not JSON"):
        gk.convert(folder, tmp_path / "m.gguf")
    gk.convert(folder, tmp_path / "m.gguf", vocab=golden / "meta" / "tokenizer.model")
    assert vocabulary(tmp_path / "m.gguf")["tokenizer.ggml.model"] == "llama"


def test_a_gguf_with_fewer_tokens_is_filled_up(
    tiny_hf: MakeHf, tmp_path: Path, golden: Path
) -> None:
    folder, _ = tiny_hf(vocab_size=400)
    gk.convert(folder, tmp_path / "m.gguf", vocab=golden / "ggjt-v3-f16.bin")
    found = vocabulary(tmp_path / "m.gguf")
    assert found["tokenizer.ggml.tokens"][384:386] == ["<unused384>", "<unused385>"]
    assert len(found["tokenizer.ggml.scores"]) == 400
    small, _ = tiny_hf(name="small", vocab_size=320)
    with pytest.raises(ConversionError, match="384 tokens, but the model has 320"):
        gk.convert(small, tmp_path / "m.gguf", vocab=golden / "ggjt-v3-f16.bin")


def test_a_file_or_folder_without_a_vocabulary_is_refused(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    bare = tmp_path / "bare.gguf"
    gk.save(bare, {}, {"general.architecture": "llama"})
    with pytest.raises(ConversionError, match="has no vocabulary"):
        gk.convert(folder, tmp_path / "m.gguf", vocab=bare)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConversionError, match=r"empty has no tokenizer\.model"):
        gk.convert(folder, tmp_path / "m.gguf", vocab=tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        gk.convert(folder, tmp_path / "m.gguf", vocab=tmp_path / "missing")


def test_ids_equal_transformers_after_conversion_and_export(
    tiny_hf: MakeHf, tmp_path: Path
) -> None:
    import transformers

    from awkward import texts

    folder, _ = tiny_hf()
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"eos_token": "<|end|>", "chat_template": template}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    gk.convert(folder, tmp_path / "m.gguf")
    gk.export(tmp_path / "m.gguf", tmp_path / "back")
    back = transformers.AutoTokenizer.from_pretrained(tmp_path / "back")
    ours = gk.Tokenizer.from_file(tmp_path / "m.gguf")
    for text in texts():
        expected = theirs.encode(text)
        assert ours.encode(text, parse_special=True) == expected, repr(text)
        assert back.encode(text) == expected, repr(text)
        assert back.decode(expected) == theirs.decode(expected)
    assert (back.bos_token_id, back.eos_token_id) == (theirs.bos_token_id, theirs.eos_token_id)
    assert back.chat_template == theirs.chat_template == ours.chat_template == template
