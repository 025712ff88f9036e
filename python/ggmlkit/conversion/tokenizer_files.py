"""The vocabulary of a checkpoint: beside the weights, one folder up, or given by the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ggmlkit import io
from ggmlkit.conversion import vocabulary
from ggmlkit.errors import ConversionError
from ggmlkit.io.gguf.string_lists import StoredValues
from ggmlkit.text.special_ids import HF_NAMES

KEYS = ("tokenizer.", "ggmlkit.tokenizer")  # prefixes of all keys of a vocabulary
_TOKENIZER_FILES = (
    "tokenizer.model, tokenizer.json, or vocab.json with merges.txt; put one there, or name a "
    "file, a folder or a gguf file that has the vocabulary with --vocab (vocab= in Python)"
)

_Reader = Callable[[Path, int], dict[str, Any]]


def folder_vocabulary(folder: Path, n_vocab: int, special: Mapping[str, int]) -> dict[str, Any]:
    """The ``tokenizer.*`` keys for a model of ``n_vocab`` tokens.

    ``tokenizer.model`` (SentencePiece, which has the scores, or Llama 3's tiktoken file) has
    precedence over ``tokenizer.json``, and that over ``vocab.json`` with ``merges.txt``.
    ``special`` gives token ids by ``bos``, ``eos``, ``pad``, ``unk`` that the files do not give.
    Raises ConversionError if none of the files is there.
    """
    for place in (folder, folder.resolve().parent):
        path = _tokenizer_in(place)
        if path is not None:
            return _with_special(_reader(path)(path, n_vocab), n_vocab, special)
    raise ConversionError(f"{folder} has no {_TOKENIZER_FILES}")


def vocabulary_of(path: Path, n_vocab: int, special: Mapping[str, int]) -> dict[str, Any]:
    """The ``tokenizer.*`` keys from a tokenizer file, a folder that has one, or a model file.

    Raises ConversionError if ``path`` is none of these, or its tokens are more than ``n_vocab``.
    """
    if path.is_dir():
        found = _tokenizer_in(path)
        if found is None:
            raise ConversionError(f"{path} has no {_TOKENIZER_FILES}")
        path = found
    return _with_special(_reader(path)(path, n_vocab), n_vocab, special)


def _with_special(
    found: dict[str, Any], n_vocab: int, special: Mapping[str, int]
) -> dict[str, Any]:
    for short, key in HF_NAMES.items():
        if short in special and special[short] < n_vocab:
            found.setdefault(f"tokenizer.ggml.{key}_token_id", special[short])
    return found


def _tokenizer_in(folder: Path) -> Path | None:
    """The file of a folder to take the vocabulary from."""
    names = ("tokenizer.model", "tokenizer.json", "vocab.json")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _reader(path: Path) -> _Reader:
    """The function that reads a tokenizer file, chosen by its first bytes."""
    with path.open("rb") as file:
        start = file.read(64)
    if start[:4] in (b"GGUF", b"tjgg", b"fmgg", b"lmgg"):
        return _of_model_file
    if start[:1] == b"\x0a":  # a protobuf field
        return vocabulary.metadata_from_sentencepiece
    if start.lstrip()[:1] == b"{":
        is_vocab = path.name == "vocab.json"
        return (
            vocabulary.metadata_from_vocab_and_merges
            if is_vocab
            else vocabulary.metadata_from_tokenizer_json
        )
    if path.suffix == ".json":  # damaged: its reader's error says how
        return vocabulary.metadata_from_tokenizer_json
    return vocabulary.metadata_from_tiktoken


def _of_model_file(path: Path, n_vocab: int) -> dict[str, Any]:
    """The vocabulary in a model file, filled up with unused tokens."""
    with io.open(path) as file:
        found = StoredValues((k, v) for k, v in file.metadata.items() if k.startswith(KEYS))
        found.value_types = file.value_types
    tokens = found.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise ConversionError(f"{path} has no vocabulary")
    if len(tokens) > n_vocab:
        raise ConversionError(f"{path} has {len(tokens)} tokens, but the model has {n_vocab}")
    _fill_up(found, range(len(tokens), n_vocab))
    return found


def _fill_up(found: dict[str, Any], missing: range) -> None:
    unused: dict[str, list[Any]] = {
        "tokens": [f"<unused{number}>" for number in missing],
        "scores": [0.0] * len(missing),
        "token_type": [5] * len(missing),  # gguf's number for unused
    }
    for key, values in unused.items():
        name = f"tokenizer.ggml.{key}"
        if missing and name in found:
            found[name] = [*found[name], *values]
