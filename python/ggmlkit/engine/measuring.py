"""What a Llama says about texts that are given: vectors, probabilities, the likeliest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from ggmlkit.closing import Closing
from ggmlkit.engine.choosing import Choice, choice_of
from ggmlkit.engine.embedding import Pooling, check_pooling, embeddings
from ggmlkit.engine.scoring import Score, score_of
from ggmlkit.engine.text_lists import ids_of_each, text_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter, TokenIds


class Measuring(Closing):
    """What a Llama does with texts without generating any."""

    model: Model
    _adapter: Adapter | None

    @overload
    def embed(
        self,
        texts: Iterable[str | TokenIds],
        pooling: Literal["mean", "last"] = "mean",
        *,
        normalize: bool = True,
    ) -> NDArray[np.float32]: ...
    @overload
    def embed(
        self,
        texts: Iterable[str | TokenIds],
        pooling: Literal["none"],
        *,
        normalize: bool = True,
    ) -> list[NDArray[np.float32]]: ...
    def embed(
        self,
        texts: Iterable[str | TokenIds],
        pooling: Pooling = "mean",
        *,
        normalize: bool = True,
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """A vector of each text: the last layer's output after its norm, pooled over its tokens.

        Many texts are computed in batches. A text's vector is independent of the others.

        Args:
            texts: any number; each is text, or token ids as they are. Text gets the tokens that
                the vocabulary puts before a prompt.
            pooling: "mean" of all tokens' rows, the row of the "last" token, or "none".
            normalize: divide each vector by its length (L2), so that ``a @ b.T`` are cosines.

        Returns:
            float32 ``(texts, dim)``; with pooling "none" a list of float32 ``(tokens, dim)``.

        Raises:
            ArgumentError: ``texts`` is no list, a text has no tokens, or there is no such pooling.
            ModelError: a text does not fit the context, or the output is not finite.
        """
        check_pooling(pooling)
        self.model.check_open()
        ids = ids_of_each(self.model, texts, "texts")
        found = embeddings(self.model, self._adapter, ids, pooling, normalize)
        if pooling == "none":
            return list(found)
        out = np.empty((len(ids), self.model.config.dim), np.float32)
        for place, vector in enumerate(found):
            out[place] = vector
        return out

    def score(self, text: str | TokenIds) -> Score:
        """How likely a text is: each token's log-probability, their sum, the perplexity.

        Logits are kept for at most 256 tokens at a time, however long the text is.

        Args:
            text: text, with the tokens that the vocabulary puts before a prompt, or token ids as
                they are. The first token has no log-probability.

        Raises:
            ArgumentError: the text has fewer than two tokens, or one is outside the vocabulary.
            ModelError: the text does not fit the context, or logits are not finite.
        """
        self.model.check_open()
        return score_of(self.model, self._adapter, text_ids(self.model, text, "text"))

    def choose(self, prompt: str | TokenIds, options: Iterable[str | TokenIds]) -> Choice:
        """The likeliest of some continuations of a prompt.

        Likeliest is the one with the highest sum of its tokens' log-probabilities. The sums are
        not divided by lengths, and nothing says where an option ends: of "1" and "10", "1" is
        never less likely. Options that end alike, as in "\\n", avoid that. Of equal sums the first
        counts. What comes before all options is computed once.

        Args:
            prompt: text, or token ids as they are, as :meth:`ggmlkit.Model.chat_prompt` makes them.
            options: at least one. Where prompt and option are text, they are tokenized as one, so
                a token may lie across their border; the sums then begin at the first such token,
                for all options. After token ids, an option of text is tokenized by itself. Token
                ids follow as they are.

        Raises:
            ArgumentError: ``options`` is no list or has none, or the prompt or an option is empty
                or of a wrong type.
            ModelError: the prompt and an option do not fit the context, or logits are not finite.
        """
        self.model.check_open()
        return choice_of(self.model, self._adapter, prompt, options)
