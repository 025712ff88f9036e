"""Small vocabularies of every kind, trained by other libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.text.splitting import families as pretokenizers

CORPUS = [
    "the  quick brown    fox ---- ====== jumps\tover aaaaaa abababab",
    "naïve café 你好 世界 😀😀 12345 … it's WE'LL they'd HelloWorld camelCase",
    "def f(x):\n        return x  # ////\r\n\r\n",
    "aaaa aaaaa aaa aa a bbbbbb ab ab abab ababab cd",
    "        indented\n\n\n=== --- ===== ----",
] * 30
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Any]:
    """Trains a byte-level BPE of a family and saves its tokenizer.json; returns the tokenizer."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel

    def trained(pre: str, **changes: Any) -> Any:
        family = pretokenizers.by_name(pre)
        blank = json.loads(Tokenizer(models.BPE(ignore_merges=family.ignore_merges)).to_str())
        blank["pre_tokenizer"] = family.json
        blank["normalizer"] = {"type": "NFC"} if family.nfc else None
        tokenizer = Tokenizer.from_str(json.dumps(blank | changes))
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.train_from_iterator(
            CORPUS,
            trainers.BpeTrainer(
                vocab_size=420,
                special_tokens=SPECIAL,
                initial_alphabet=ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
        tokenizer.add_special_tokens(
            [
                AddedToken("<|user|>", rstrip=True, normalized=False),
                AddedToken("<|mask|>", lstrip=True, normalized=False),
            ]
        )
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        return tokenizer

    return trained


@pytest.fixture
def sentencepiece_model(tmp_path: Path) -> Callable[..., Any]:
    """Trains a tokenizer.model with SentencePiece's own library; returns its processor."""
    import sentencepiece

    def trained(**changes: Any) -> Any:
        settings = {
            "vocab_size": 380,
            "hard_vocab_limit": False,
            "model_type": "bpe",
            "character_coverage": 1.0,
            "byte_fallback": True,
            "remove_extra_whitespaces": False,
            "normalization_rule_name": "identity",
            "minloglevel": 2,
        }
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS),
            model_prefix=str(tmp_path / "tokenizer"),
            **{**settings, **changes},
        )
        (tmp_path / "tokenizer.vocab").unlink()
        path = tmp_path / "tokenizer.model"
        return sentencepiece.SentencePieceProcessor(model_file=str(path))

    return trained
