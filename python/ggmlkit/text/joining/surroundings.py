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

# Pre-tokenizers with which llama.cpp always adds the first token, whatever the file's keys are.
_ALWAYS_FIRST = ("gemma4", "granite-embed-multi-311m")


@dataclass(frozen=True)
class Surroundings:
    """Ids that ``encode`` adds before and after a text."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @classmethod
    def of_tokenizer_json(cls, tokenizer: Mapping[str, Any], size: int) -> Surroundings | None:
        """The ids that a tokenizer.json's post-processor adds, without ids of ``size`` or more.

        None if the post-processor does anything else than add tokens around a text.
        """
        around = tokens_around(tokenizer.get("post_processor"))
        if around is None:
            return None
        before, after = (tuple(number for number in ids if number < size) for ids in around)
        return cls(before, after)


def surroundings(vocab: Vocab, metadata: Mapping[str, Any]) -> Surroundings:
    """The ids that ``encode`` adds around a text.

    The carried tokenizer.json's post-processor decides, unless the keys ``add_bos_token`` and
    ``add_eos_token`` were changed since. Otherwise these keys decide; without them, it is what
    llama.cpp does for the kind of vocabulary.

    Raises ModelError if a key has the wrong type, or names no token.
    """
    carried = carried_surroundings(vocab, metadata)
    return _by_keys(vocab, metadata) if carried is None else carried


def carried_surroundings(vocab: Vocab, metadata: Mapping[str, Any]) -> Surroundings | None:
    """The ids of the carried post-processor, if there is one and the keys still agree with it."""
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
    if vocab.model == "bert":  # llama.cpp ignores the keys here
        last = special_id(vocab, metadata, "seperator")
        return Surroundings(_one(first), _one(last))
    adds_first, adds_last = _flags(vocab, metadata)
    return Surroundings(_one(first) if adds_first else (), _one(last) if adds_last else ())


def _flags(vocab: Vocab, metadata: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a first and a last token are added, by the keys or else by default."""
    first = flag(metadata, "add_bos_token", _adds_first_by_default(vocab))
    last = flag(metadata, "add_eos_token", vocab.model == "t5")
    always = vocab.model == "gemma4" or (vocab.model == "gpt2" and vocab.pre in _ALWAYS_FIRST)
    return first or always, last


def _adds_first_by_default(vocab: Vocab) -> bool:
    if vocab.model == "gpt2":
        return pretokenizers.by_name(vocab.pre).adds_bos
    return vocab.model == "llama"


def _one(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)
