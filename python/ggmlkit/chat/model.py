"""A model as requests for texts see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggmlkit.chat.errors import bad_request, too_long
from ggmlkit.engine.portions import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ggmlkit.chat.form import ChatForm
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter
    from ggmlkit.text.tokenizer import Tokenizer


class ChatModel:
    """A model, and how its conversations are written.

    Attributes:
        name: what requests call it.
        path: of its file, which no client is told.
        model: the engine.
        adapter: what changes its weights, or None.
        chat: how its conversations are written, None without a chat template.
        portions: computes what is not generated.
    """

    portions = WHOLE

    def __init__(
        self, name: str, model: Model, adapter: Adapter | None, chat: ChatForm | None
    ) -> None:
        self.name, self.path = name, str(model.file.path)
        self.model, self.adapter, self.chat = model, adapter, chat

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary."""
        return self.model.tokenizer

    @property
    def most_tokens(self) -> int:
        """Tokens that one request may have."""
        return min(self.model.context, self.model.cache_tokens)

    def check_fits(self, prompt: Sequence[int]) -> None:
        """Raise RequestError if a prompt is longer than the context."""
        if len(prompt) > self.most_tokens:
            raise bad_request(
                too_long("the prompt", len(prompt), self.most_tokens),
                code="context_length_exceeded",
            )
