"""Which program's token ids a vocabulary's texts get."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab, charsmap
from ggmlkit.text.vocab_keys import PREFIX, RULES, SENTENCEPIECE


class Rules(Enum):
    """A program whose way of cutting text is followed."""

    LLAMA_CPP = "llama.cpp"
    SENTENCEPIECE = "SentencePiece"
    TOKENIZERS = "the tokenizers library"


def rules_of(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Rules:
    """Those of the program that the vocabulary comes from, as far as the file tells."""
    if carried is not None:
        return Rules.TOKENIZERS
    if metadata.get(RULES) == SENTENCEPIECE:
        return Rules.SENTENCEPIECE
    # Files of earlier versions have no such key, but those of a tokenizer.model one of these, which
    # llama.cpp does not write for such a vocabulary.
    told = f"{PREFIX}remove_extra_whitespaces" in metadata or charsmap(metadata)
    return Rules.SENTENCEPIECE if vocab.model == "llama" and told else Rules.LLAMA_CPP
