"""The tokens that end generation.

gguf has keys for three of them. llama.cpp recognizes more by their texts. ``eos_token_ids``, a key
that ollama reads as well, lists all that a checkpoint's generation_config.json names. Source of the
texts and the exceptions: src/llama-vocab.cpp of llama.cpp, ``llama_vocab::impl::load``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ggmlkit.errors import ModelError
from ggmlkit.text.vocab_keys import CARRIED, PREFIX, token_id

# The key of all end tokens, if there are more than the other keys can hold.
END_IDS = f"{PREFIX}eos_token_ids"
_END_TEXTS = """
<|eot_id|> <|eom_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn>
<|endoftext|> </s> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|>
<|tool_response> <｜end▁of▁sentence｜> [e~[
"""
END_TEXTS = frozenset(_END_TEXTS.split())
# Fill-in-the-middle (FIM) tokens of code models, by gguf's key; a vocabulary has one for each key.
FIM_TEXTS: Mapping[str, frozenset[str]] = {
    key: frozenset(texts.split())
    for key, texts in {
        "fim_pre": "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> "
        "<|code_prefix|> <|prefix|>",
        "fim_suf": "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> "
        "<|code_suffix|> <|suffix|>",
        "fim_mid": "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> "
        "<|code_middle|> <|middle|>",
        "fim_pad": "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]",
        "fim_rep": "<|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame>",
        "fim_sep": "<|file_sep|>",
    }.items()
}
_OLD_FIM_KEYS = {"fim_pre": "prefix", "fim_suf": "suffix", "fim_mid": "middle"}
_ENDING_FIM_KEYS = ("fim_pad", "fim_rep", "fim_sep")
_END_KEYS = ("eos", "eot", "eom")


def end_ids(
    special: Mapping[str, int], pieces: Sequence[str | bytes], metadata: Mapping[str, Any]
) -> set[int]:
    """Ids of the tokens after which generation ends.

    These are the tokens that llama.cpp takes for end tokens by key and text, and all that the file
    lists. In a file that carries its tokenizer.json, texts count for special and added tokens only.

    Args:
        special: ids by text of the control, user-defined and unknown tokens.
        pieces: text of every token.
        metadata: the file's keys.

    Raises ModelError if a key names no token.
    """
    ends, excepted = ends_and_exceptions(special, pieces, metadata)
    ids = ends - set(excepted.values())
    ids.update(listed_ends(metadata, len(pieces)))
    eos = token_id(metadata, "eos", len(pieces))
    if CARRIED in metadata and eos is not None:
        ids.add(eos)  # the checkpoint's own setting counts, whatever its other tokens are
    return ids


def ends_and_exceptions(
    ids: Mapping[str, int], pieces: Sequence[str | bytes], metadata: Mapping[str, Any]
) -> tuple[set[int], dict[str, int]]:
    """The tokens that llama.cpp takes for end tokens, and the exceptions by text, which aren't.

    In gpt-oss and Solar ``<|end|>`` ends a part of an answer; in Gemma 4 and PLaMo ``</s>`` is an
    ordinary word. Other end tokens in the vocabulary show which models these are.
    """
    ends = {ids[text] for text in END_TEXTS if text in ids}
    by_key = (token_id(metadata, key, len(pieces)) for key in _END_KEYS)
    fim = (fim_id(key, ids, metadata, len(pieces)) for key in _ENDING_FIM_KEYS)
    ends.update(number for number in (*by_key, *fim) if number is not None)
    known = {pieces[number]: number for number in ends}
    excepted = set()
    if known.keys() & {"<|call|>", "<|calls|>"} and known.keys() & {"<|return|>", "<|flush|>"}:
        excepted.add("<|end|>")
    if known.keys() & {"<|tool_response>", "<|plamo:eos|>"}:
        excepted.add("</s>")
    return ends, {text: known[text] for text in excepted if text in known}


def fim_ids(ids: Mapping[str, int], metadata: Mapping[str, Any], size: int) -> dict[str, int]:
    """The fill-in-the-middle tokens that a vocabulary has, by gguf's names such as ``fim_pre``."""
    found = {key: fim_id(key, ids, metadata, size) for key in FIM_TEXTS}
    return {key: number for key, number in found.items() if number is not None}


def fim_id(key: str, ids: Mapping[str, int], metadata: Mapping[str, Any], size: int) -> int | None:
    """The fill-in-the-middle token for ``key``: by gguf's key, else by its text, or None."""
    number = fim_id_by_key(key, metadata, size)
    return fim_id_by_text(key, ids) if number is None else number


def fim_id_by_key(key: str, metadata: Mapping[str, Any], size: int) -> int | None:
    """The token that a key names; None without a key or, as in llama.cpp, if its id is invalid."""
    for name in (_OLD_FIM_KEYS.get(key), key):
        try:
            number = None if name is None else token_id(metadata, name, size)
        except ModelError:
            continue
        if number is not None:
            return number
    return None


def fim_id_by_text(key: str, ids: Mapping[str, int]) -> int | None:
    """The first token with one of the usual texts for ``key``, or None."""
    return min((ids[text] for text in FIM_TEXTS[key] if text in ids), default=None)


def listed_ends(metadata: Mapping[str, Any], size: int) -> list[int]:
    """The ids in ``tokenizer.ggml.eos_token_ids`` below ``size``, each once; empty without the key.

    Raises ModelError if it is not a list of integers.
    """
    try:
        values = np.asarray(metadata.get(END_IDS, ()))
    except ValueError:  # lists of different lengths
        values = np.empty((1, 1))
    if values.size == 0:
        return []
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ModelError(f"{END_IDS} is not a list of integers")
    return [number for number in dict.fromkeys(values.tolist()) if 0 <= number < size]
