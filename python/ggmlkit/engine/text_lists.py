"""Lists of texts that callers give, as token ids, and in groups that the cache has room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.arguments import shown
from ggmlkit.engine.full_context import check_fits
from ggmlkit.engine.token_ids import prompt_ids
from ggmlkit.errors import ArgumentTypeError

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import TokenIds

# Enough that reading the weights costs little for each, few enough for small results.
GROUP_TOKENS = 1024


def text_ids(model: Model, text: str | TokenIds, name: str) -> list[int]:
    """Token ids of a text that fits the context. ``name`` is what errors call it.

    Raises:
        ArgumentError: it has no tokens, one is outside the vocabulary, or it is another thing.
        ModelError: it does not fit.
    """
    ids = prompt_ids(text, model.config.vocab, lambda: model.tokenizer, name)
    check_fits(model, len(ids), name)
    return ids


def listed(texts: object, name: str) -> list[str | TokenIds]:
    """The texts of a list.

    Raises:
        ArgumentTypeError: it is no list; a single text is none.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise ArgumentTypeError(f"{name} must be a list of {name}, not {shown(texts)}")
    return list(texts)


def ids_of_each(model: Model, texts: Iterable[str | TokenIds], name: str) -> list[list[int]]:
    """Token ids of each text of a list.

    Raises:
        ArgumentError: it is no list, or one of its texts is none.
        ModelError: one does not fit the context.
    """
    found = listed(texts, name)
    return [text_ids(model, text, f"{name}[{place}]") for place, text in enumerate(found)]


def groups(tokens: Sequence[int], free: int) -> Iterator[range]:
    """Places of texts, in order, that are computed together: at least one at a time.

    Args:
        tokens: of each text, with those of the page that it begins in.
        free: tokens that the cache has room for.
    """
    begin = 0
    while begin < len(tokens):
        end, sum_of_tokens, taken = begin, 0, 0
        while end < len(tokens):
            sum_of_tokens += tokens[end]
            taken += -(-tokens[end] // _core.KV_PAGE) * _core.KV_PAGE
            if end > begin and (sum_of_tokens > GROUP_TOKENS or taken > free):
                break
            end += 1
        yield range(begin, end)
        begin = end
