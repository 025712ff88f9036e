"""Chooses the steps of a tokenizer by its kind of vocabulary and the program it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ggmlkit.text.added_tokens import of_vocabulary
from ggmlkit.text.encoding.bpe import BpeEncoder
from ggmlkit.text.encoding.sentencepiece import SpmEncoder
from ggmlkit.text.encoding.unigram import UnigramEncoder
from ggmlkit.text.encoding.wordpiece import WordPieceEncoder
from ggmlkit.text.id_rules import Rules, rules_of
from ggmlkit.text.joining.pieces import Joining, SentencePieceJoining, carried_joining
from ggmlkit.text.joining.wordpiece import LlamaCppWordPieceJoining, carried_wordpiece_joining
from ggmlkit.text.pipeline import (
    Pipeline,
    carried_byte_pipeline,
    carried_pipeline,
    plain_pipeline,
    sentencepiece_pipeline,
    spaced_pipeline,
    unigram_pipeline,
)
from ggmlkit.text.plain_pieces import token_bytes
from ggmlkit.text.splitting.compiled_normalizer import SpaceRules
from ggmlkit.text.stripping import stripping_by_model
from ggmlkit.text.tokenizer_json import MERGE_ORDER, Carried
from ggmlkit.text.vocab import Vocab

Parts = tuple[Pipeline, Joining]


def parts_of(vocab: Vocab, metadata: Mapping[str, Any]) -> Parts:
    """The pipeline that encodes text, and the object that joins tokens to text.

    Raises ModelError if the keys don't define a tokenizer.
    """
    carried = Carried.from_metadata(metadata, vocab.model, vocab.pieces)
    by_model = {
        "gpt2": _byte_level,
        "llama": _sentencepiece_bpe,
        "t5": _unigram,
        "bert": _wordpiece,
    }
    return by_model[vocab.model](vocab, metadata, carried)


def _byte_level(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Parts:
    bpe = BpeEncoder(vocab, carried)
    if carried is not None and bpe.splits_as_carried:
        joining = Joining(vocab, bpe.token_bytes, carried.strips_first_space)
        return carried_byte_pipeline(carried, bpe.encode), joining
    tokens = of_vocabulary(vocab, stripping_by_model(vocab, metadata))
    return plain_pipeline(tokens, bpe.encode), Joining(vocab, bpe.token_bytes, False)


def _sentencepiece_bpe(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Parts:
    bytes_of = partial(token_bytes, vocab)
    if carried is not None and carried.model.get("byte_fallback"):
        spm = SpmEncoder(
            vocab,
            merges=vocab.merges,
            merge_order=metadata.get(MERGE_ORDER),
            fuse_unknown=bool(carried.model.get("fuse_unk")),
            defined_join=True,
        )
        return carried_pipeline(carried, spm.encode), carried_joining(vocab, bytes_of, carried)
    tokens = of_vocabulary(vocab, stripping_by_model(vocab, metadata))
    spm, spaces = SpmEncoder(vocab), SpaceRules.from_metadata(metadata)
    if rules_of(vocab, metadata, None) is Rules.SENTENCEPIECE:
        pipeline = sentencepiece_pipeline(vocab, metadata, tokens, spm.encode)
        return pipeline, SentencePieceJoining(vocab, bytes_of, spaces)
    pipeline = spaced_pipeline(metadata, tokens, spm.encode)
    return pipeline, Joining(vocab, bytes_of, spaces.before)


def _unigram(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Parts:
    bytes_of = partial(token_bytes, vocab)
    rules = rules_of(vocab, metadata, carried)
    if carried is not None:
        spells_bytes = bool(carried.model.get("byte_fallback"))
        unigram = UnigramEncoder(vocab, metadata, rules, spells_bytes=spells_bytes)
        return carried_pipeline(carried, unigram.encode), carried_joining(vocab, bytes_of, carried)
    tokens = of_vocabulary(vocab, stripping_by_model(vocab, metadata))
    unigram, spaces = UnigramEncoder(vocab, metadata, rules), SpaceRules.from_metadata(metadata)
    if rules is Rules.SENTENCEPIECE:
        pipeline = sentencepiece_pipeline(vocab, metadata, tokens, unigram.encode)
        return pipeline, SentencePieceJoining(vocab, bytes_of, spaces)
    pipeline = unigram_pipeline(vocab, metadata, tokens, unigram.encode)
    return pipeline, Joining(vocab, bytes_of, spaces.before)


def _wordpiece(vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None) -> Parts:
    pieces = WordPieceEncoder(vocab, metadata, carried)
    if carried is not None:
        joining = carried_wordpiece_joining(vocab, carried)
        return carried_pipeline(carried, pieces.encode), joining
    tokens = of_vocabulary(vocab, stripping_by_model(vocab, metadata))
    pipeline = plain_pipeline(tokens, lambda text: pieces.encode(pieces.words(text)))
    return pipeline, LlamaCppWordPieceJoining(vocab, partial(token_bytes, vocab))
