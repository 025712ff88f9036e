"""SentencePiece's tokenizer.model in gguf keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.conversion.vocabulary.carried_json import carried_from_folder
from ggmlkit.conversion.vocabulary.sentencepiece_model import UNUSED, read_sentencepiece
from ggmlkit.conversion.vocabulary.special_tokens import added_tokens, special_keys
from ggmlkit.conversion.vocabulary.surroundings import surrounding_keys
from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.errors import ConversionError
from ggmlkit.text.vocab_keys import RULES, SENTENCEPIECE

NO_MERGE_SCORE = -1e6  # of single characters, which no merge makes, so it is never used


def metadata_from_sentencepiece(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a SentencePiece model, filled up to ``n_vocab`` tokens.

    A BPE becomes a ``llama`` vocabulary, a Unigram a ``t5`` one. Tokens beyond the model's pieces
    are those that tokenizer_config.json or added_tokens.json, which lie beside it, add.

    Raises FormatError if damaged, ConversionError for more pieces than ``n_vocab``.
    """
    model = read_sentencepiece(path)
    count = len(model.pieces)
    if count > n_vocab:
        raise ConversionError(f"{path} has {count} tokens, but the model has {n_vocab}")
    table = TokenTable(path, n_vocab)
    table.texts[:count], table.kinds[:count] = model.pieces, model.types
    table.add(
        token._replace(text=token.text.replace(" ", "▁")) for token in added_tokens(path.parent)
    )
    extra = [NO_MERGE_SCORE if kind == UNUSED else 0.0 for kind in table.kinds[count:]]
    # T5 has no bos token and adds eos to texts; other models do as LlamaTokenizer does.
    begins = model.is_bpe or model.bos_id >= 0
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "llama" if model.is_bpe else "t5",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": table.texts,
        "tokenizer.ggml.scores": [*model.scores, *extra],
        "tokenizer.ggml.token_type": table.kinds,
        "tokenizer.ggml.add_bos_token": begins,
        "tokenizer.ggml.add_eos_token": not begins,
        "tokenizer.ggml.add_space_prefix": model.add_dummy_prefix,
        "tokenizer.ggml.remove_extra_whitespaces": model.remove_extra_whitespaces,
        RULES: SENTENCEPIECE,
    }
    if model.space_as_suffix:
        found["tokenizer.ggml.treat_whitespace_as_suffix"] = True
    if model.charsmap:
        found["tokenizer.ggml.precompiled_charsmap"] = np.frombuffer(model.charsmap, np.uint8)
    ids = {"bos": model.bos_id, "eos": model.eos_id, "unknown": model.unk_id}
    ids["padding"] = model.pad_id
    found.update({f"tokenizer.ggml.{key}_token_id": i for key, i in ids.items() if i >= 0})
    special = special_keys(path.parent, table.texts, found)
    found.update(special)
    carried = carried_from_folder(path.parent, found)
    for text in carried.values():
        named = {key: value for key, value in found.items() if key.endswith("_token_id")}
        json_path = path.with_name("tokenizer.json")
        found |= surrounding_keys(json_path, json.loads(text), table.texts, {**named, **special})
    return {**found, **carried}
