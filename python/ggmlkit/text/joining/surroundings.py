"""The tokens added before and after a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.text.joining.post_processor import tokens_around
from ggmlkit.text.special_ids import special_id
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.vocab import Vocab, flag
from ggmlkit.text.vocab_keys import CARRIED

# Tokenizers that llama.cpp lets begin every text with the first token, whatever the file says.
_ALWAYS_FIRST = ("gemma4", "granite-embed-multi-311m")


@dataclass(frozen=True)
class Surroundings:
    """Ids before and after a text, as ``encode`` adds them."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @classmethod
    def of_tokenizer_json(cls, tokenizer: Mapping[str, Any], size: int) -> Surroundings | None:
        """Those of a tokenizer.json's post-processor, without ids that are not below ``size``.

        None if the post-processor does anything else than to put tokens around a text.
        """
        around = tokens_around(tokenizer.get("post_processor"))
        if around is None:
            return None
        before, after = (tuple(number for number in ids if number < size) for ids in around)
        return cls(before, after)


def surroundings(vocab: Vocab, metadata: Mapping[str, Any]) -> Surroundings:
    """What ``encode`` puts around a text.

    It is what the carried tokenizer.json's post-processor does, unless the keys ``add_bos_token``
    and ``add_eos_token`` were changed since; otherwise what these keys say, and where they say
    nothing what llama.cpp does for the kind of vocabulary.

    Raises ModelError for keys that are of the wrong type, or name no token.
    """
    told = carried_surroundings(vocab, metadata)
    return _by_keys(vocab, metadata) if told is None else told


def carried_surroundings(vocab: Vocab, metadata: Mapping[str, Any]) -> Surroundings | None:
    """Those of the carried post-processor, if there is one and the keys still agree with it."""
    try:
        tokenizer = json.loads(metadata.get(CARRIED, ""))
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(tokenizer, dict):
        return None
    found = Surroundings.of_tokenizer_json(tokenizer, len(vocab.pieces))
    if found is None:
        return None
    bos, eos = special_id(vocab, metadata, "bos"), special_id(vocab, metadata, "eos")
    agree = _flags(vocab, metadata) == (bos in found.before, eos in found.after)
    return found if agree else None


def _by_keys(vocab: Vocab, metadata: Mapping[str, Any]) -> Surroundings:
    first, last = special_id(vocab, metadata, "bos"), special_id(vocab, metadata, "eos")
    if vocab.model == "bert":  # llama.cpp asks no keys here
        last = special_id(vocab, metadata, "seperator")
        return Surroundings(_one(first), _one(last))
    adds_first, adds_last = _flags(vocab, metadata)
    return Surroundings(_one(first) if adds_first else (), _one(last) if adds_last else ())


def _flags(vocab: Vocab, metadata: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the keys, or what is usual where they are silent, ask for a first and last token."""
    first = flag(metadata, "add_bos_token", _usually_first(vocab))
    last = flag(metadata, "add_eos_token", vocab.model == "t5")
    always = vocab.model == "gemma4" or (vocab.model == "gpt2" and vocab.pre in _ALWAYS_FIRST)
    return first or always, last


def _usually_first(vocab: Vocab) -> bool:
    if vocab.model == "gpt2":
        return pretokenizers.by_name(vocab.pre).adds_bos
    return vocab.model == "llama"


def _one(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)
