"""What a tokenizer.json says besides its vocabulary, carried through a model file for the way back.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. All of
a tokenizer.json but the vocabulary and the merges, which the file has anyway, is a few kilobytes of
text; export puts it together again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import read_json
from ggmlkit.errors import FormatError
from ggmlkit.model.carried import Carried, added_tokens_fit, is_bpe
from ggmlkit.model.surroundings import carried_surroundings
from ggmlkit.model.vocab import Vocab
from ggmlkit.model.vocab_keys import CARRIED

_LEFT_OUT = ("vocab", "merges")


def carried_from_folder(folder: Path, tokens: Sequence[str]) -> dict[str, str]:
    """What is carried of the tokenizer.json in the folder; nothing if there is none that fits."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return {}
    try:
        tokenizer = read_json(path)
    except FormatError:
        return {}  # the vocabulary comes from another file
    return carried(tokenizer, tokens) if is_bpe(tokenizer) else {}


def carried(tokenizer: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, str]:
    """The key to carry a tokenizer.json in; nothing if its added tokens are not the model's."""
    if not added_tokens_fit(tokenizer, tokens):
        return {}
    model = {key: value for key, value in tokenizer["model"].items() if key not in _LEFT_OUT}
    try:
        return {CARRIED: json.dumps({**tokenizer, "model": model}, separators=(",", ":"))}
    except RecursionError:
        return {}


def carried_tokenizer(
    vocab: Vocab, metadata: Mapping[str, Any], tokens: Sequence[str]
) -> dict[str, Any] | None:
    """The tokenizer.json that the metadata carries, its model's vocabulary missing.

    None if there is none, or if other keys were changed since so that it no longer fits them.
    Raises ModelError for special tokens that are none.
    """
    found = Carried.from_metadata(metadata, tokens)
    if found is None or carried_surroundings(vocab, metadata) is None:
        return None
    return found.json
