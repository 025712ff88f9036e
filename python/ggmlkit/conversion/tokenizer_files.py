"""The vocabulary of a checkpoint folder, found beside the weights or one folder up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.conversion import vocabulary
from ggmlkit.errors import ConversionError

_SPECIAL_KEYS = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}


def folder_vocabulary(folder: Path, n_vocab: int, special: Mapping[str, int]) -> dict[str, Any]:
    """The ``tokenizer.*`` keys for a model of ``n_vocab`` tokens.

    ``tokenizer.model`` (SentencePiece, it has the scores) comes before ``tokenizer.json``.
    ``special`` gives token ids by ``bos``, ``eos``, ``pad``, ``unk`` where the files do not.
    Raises ConversionError if there is neither.
    """
    found = _read(folder, n_vocab)
    for short, key in _SPECIAL_KEYS.items():
        if short in special and special[short] < n_vocab:
            found.setdefault(f"tokenizer.ggml.{key}_token_id", special[short])
    return found


def _read(folder: Path, n_vocab: int) -> dict[str, Any]:
    tiktoken = False
    for place in (folder, folder.resolve().parent):
        sentencepiece = place / "tokenizer.model"
        if sentencepiece.is_file():
            if _is_sentencepiece(sentencepiece):
                return dict(vocabulary.metadata_from_sentencepiece(sentencepiece, n_vocab))
            tiktoken = True
        if (place / "tokenizer.json").is_file():
            return dict(vocabulary.metadata_from_tokenizer_json(place / "tokenizer.json", n_vocab))
    if tiktoken:
        raise ConversionError(
            f"{folder}: tokenizer.model is a tiktoken file; put the tokenizer.json of the same "
            "model beside it"
        )
    raise ConversionError(f"{folder} has neither tokenizer.model nor tokenizer.json")


def _is_sentencepiece(path: Path) -> bool:
    """A SentencePiece model starts with a protobuf field; Llama 3's tiktoken file with base64."""
    with path.open("rb") as file:
        return file.read(1) == b"\x0a"


def tokenizer_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer.json of a vocabulary in gguf keys."""
    return vocabulary.to_tokenizer_json(metadata)


def tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer_config.json: special tokens and the chat template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for short, key in _SPECIAL_KEYS.items():
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if number is not None and int(number) < len(tokens):
            config[f"{short}_token"] = tokens[int(number)]
    for key in ("add_bos_token", "add_eos_token"):
        if f"tokenizer.ggml.{key}" in metadata:
            config[key] = bool(metadata[f"tokenizer.ggml.{key}"])
    config["clean_up_tokenization_spaces"] = False
    if "llama.context_length" in metadata:
        config["model_max_length"] = int(metadata["llama.context_length"])
    if "tokenizer.chat_template" in metadata:
        config["chat_template"] = metadata["tokenizer.chat_template"]
    return config
