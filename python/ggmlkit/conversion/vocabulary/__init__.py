"""Vocabularies: tokenizer files turned into gguf keys, and back."""

from __future__ import annotations

from ggmlkit.conversion.vocabulary.sentencepiece import metadata_from_sentencepiece
from ggmlkit.conversion.vocabulary.tiktoken import metadata_from_tiktoken
from ggmlkit.conversion.vocabulary.to_tokenizer_json import to_tokenizer_json
from ggmlkit.conversion.vocabulary.tokenizer_json import metadata_from_tokenizer_json
from ggmlkit.conversion.vocabulary.vocab_merges import metadata_from_vocab_and_merges

__all__ = [
    "metadata_from_sentencepiece",
    "metadata_from_tiktoken",
    "metadata_from_tokenizer_json",
    "metadata_from_vocab_and_merges",
    "to_tokenizer_json",
]
