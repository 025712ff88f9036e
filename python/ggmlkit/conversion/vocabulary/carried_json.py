"""The settings of a tokenizer.json, carried in a model file so that export can write them again.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. Without
the vocabulary and the merges, which the file has anyway, a tokenizer.json is a few kilobytes of
text. Export joins the two again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import read_json
from ggmlkit.errors import FormatError
from ggmlkit.text.joining.surroundings import carried_surroundings
from ggmlkit.text.tokenizer_json import Carried, added_tokens_fit, is_of, put_compiled
from ggmlkit.text.vocab import Vocab, charsmap
from ggmlkit.text.vocab_keys import CARRIED, PREFIX

_LEFT_OUT = ("vocab", "merges")


def carried_from_folder(folder: Path, keys: Mapping[str, Any]) -> dict[str, str]:
    """The key that carries the folder's tokenizer.json; empty if there is none that fits.

    ``keys`` are those of the vocabulary, which was read from another file.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return {}
    try:
        tokenizer = read_json(path)
    except FormatError:
        return {}  # the vocabulary comes from another file
    return carried(tokenizer, keys) if is_of(keys[f"{PREFIX}model"], tokenizer) else {}


def carried(tokenizer: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, str]:
    """The key that carries a tokenizer.json; empty if its added tokens are not the vocabulary's.

    ``keys`` are those of the vocabulary; what they say already is left out.
    """
    if not added_tokens_fit(tokenizer, keys[f"{PREFIX}tokens"]):
        return {}
    model = {key: value for key, value in tokenizer["model"].items() if key not in _LEFT_OUT}
    try:
        kept = json.loads(json.dumps({**tokenizer, "model": model}))
        put_compiled(kept, old=charsmap(keys), new=b"")
        return {CARRIED: json.dumps(kept, separators=(",", ":"))}
    except RecursionError:
        return {}


def carried_tokenizer(
    vocab: Vocab, metadata: Mapping[str, Any], tokens: Sequence[str]
) -> dict[str, Any] | None:
    """The tokenizer.json that the metadata carries, without the vocabulary of its model.

    None if there is none, or if other keys were changed later and no longer fit it. Raises
    ModelError for ids of special tokens that are not tokens.
    """
    found = Carried.from_metadata(metadata, vocab.model, tokens)
    if found is None or carried_surroundings(vocab, metadata) is None:
        return None
    return found.json
