"""Chooses the program whose token ids a vocabulary has to reproduce."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab, charsmap
from ggmlkit.text.vocab_keys import PREFIX, RULES, SENTENCEPIECE


class Rules(Enum):
    """A program whose tokenization is reproduced."""

    LLAMA_CPP = "llama.cpp"
    SENTENCEPIECE = "SentencePiece"
    TOKENIZERS = "the tokenizers library"


def rules_of(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Rules:
    """The rules of the program that the vocabulary comes from, as far as the file shows it."""
    if carried is not None:
        return Rules.TOKENIZERS
    if metadata.get(RULES) == SENTENCEPIECE:
        return Rules.SENTENCEPIECE
    # Files of earlier versions don't have this key. Those made from a tokenizer.model have one of
    # these keys, which llama.cpp does not write for such a vocabulary.
    from_sentencepiece = f"{PREFIX}remove_extra_whitespaces" in metadata or charsmap(metadata)
    return Rules.SENTENCEPIECE if vocab.model == "llama" and from_sentencepiece else Rules.LLAMA_CPP
