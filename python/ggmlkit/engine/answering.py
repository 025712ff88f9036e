"""Whole results of prompts: one, a batch of them, or awaited by a coroutine."""

from __future__ import annotations

from collections import abc
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ggmlkit.closing import Closing
from ggmlkit.engine.constraint import constraint_of
from ggmlkit.engine.full_context import room_for
from ggmlkit.engine.generation import generated
from ggmlkit.engine.prompt_batch import BatchProgress, params_of_each, results
from ggmlkit.engine.result import GenerationResult, result_of
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.engine.stats import Stats
from ggmlkit.engine.text_lists import ids_of_each

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

    from ggmlkit.engine.completion import Token
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.request import Stream
    from ggmlkit.engine.sequence import Adapter, TokenIds
    from ggmlkit.engine.shared_scheduler import SharedScheduler
    from ggmlkit.engine.speculation.speculator import Speculator


class Answering(Closing):
    """What a Llama does with prompts, beside streams in the caller's thread."""

    model: Model
    stats: Stats
    _adapter: Adapter | None
    _shared: SharedScheduler
    _speculator: Speculator | None

    def _begun(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None,
        settings: GenerationSettings,
    ) -> tuple[Iterator[Token], Stats]:
        """The tokens that follow a prompt, as they are drawn, and what keeps count of them."""
        params = chosen_params(params, settings)
        self.model.check_open()
        ids = self.model.prompt_ids(prompt)
        limit = room_for(self.model, ids, params)  # refuses at once, not at the first piece
        constraint = constraint_of(params, self.model.tokenizer, self.model.config.vocab)
        stats = Stats()
        tokens = generated(
            self.model, ids, params, limit, self._adapter, stats, constraint, self._speculator
        )
        return tokens, stats

    def complete(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> GenerationResult:
        """:meth:`generate`, but the whole at its end: text, tokens, why it ended, counts.

        Args:
            prompt: as for :meth:`generate`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ModelError: the prompt does not fit the context.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        tokens, stats = self._begun(prompt, params, settings)
        self.stats = stats  # which another thread's call may set meanwhile
        return result_of(tokens, stats)

    def chat_complete(
        self,
        messages: Iterable[Mapping[str, Any]],
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> GenerationResult:
        """:meth:`chat`, but the whole answer at its end.

        Args:
            messages: as for :meth:`ggmlkit.Model.chat_prompt`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ArgumentError: as for :meth:`chat`.
            ModelError: as for :meth:`chat`.
        """
        return self.complete(self.model.chat_prompt(messages), params, **settings)

    def generate_batch(
        self,
        prompts: Iterable[str | TokenIds],
        params: SamplingParams | abc.Sequence[SamplingParams] | None = None,
        *,
        progress: BatchProgress | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> list[GenerationResult]:
        """Complete many prompts at once (continuous batching); the results are in their order.

        Each is what :meth:`complete` would give. The weights are read once for a token of every
        prompt that runs. How many run at a time depends on the cache, which has the room of
        ``sequences + 1`` contexts.

        Args:
            prompts: each as for :meth:`generate`. All are checked before any is computed.
            params: for all, or a list with one for each prompt.
            progress: is called with the number of results so far, in order, and that of prompts.
            settings: as for :meth:`generate`, for all.

        Raises:
            ModelError: a prompt does not fit the context, or its tokens not the cache. The others
                then are given up.
            ArgumentError: a setting or a token is out of range or of a wrong type, or there is not
                one of ``params`` for each prompt.
        """
        self.model.check_open()
        ids = ids_of_each(self.model, prompts, "prompts")
        each = params_of_each(params, settings, len(ids))
        return results(self._shared.get(), ids, each, self._adapter, progress)

    # -------------------------------------------------------------- coroutines

    async def agenerate_tokens(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> AsyncGenerator[Token, None]:
        """:meth:`generate_tokens` for ``async for``; many at once share their steps.

        The event loop is free while a token is computed, and no stream has a thread of its own.
        Where the task is cancelled, or the loop is left, the rest is given up and its pages go
        back. ``stats`` does not count these.

        Args:
            prompt: as for :meth:`generate`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ModelError: the prompt does not fit the context, or its tokens not the cache.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        with await self._submitted(prompt, params, settings) as stream:
            async for token in stream:
                yield token

    async def acomplete(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> GenerationResult:
        """:meth:`complete` for ``await``; see :meth:`agenerate_tokens`.

        Args:
            prompt: as for :meth:`generate`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ModelError: the prompt does not fit the context, or its tokens not the cache.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        with await self._submitted(prompt, params, settings) as stream:
            tokens = [token async for token in stream]
            return result_of(tokens, stream.stats)

    async def achat_complete(
        self,
        messages: Iterable[Mapping[str, Any]],
        params: SamplingParams | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> GenerationResult:
        """:meth:`chat_complete` for ``await``; see :meth:`agenerate_tokens`.

        Args:
            messages: as for :meth:`ggmlkit.Model.chat_prompt`.
            params: as for :meth:`generate`.
            settings: as for :meth:`generate`.

        Raises:
            ArgumentError: as for :meth:`chat`.
            ModelError: as for :meth:`chat`.
        """
        import asyncio  # deferred: few programs need it

        prompt = await asyncio.to_thread(self.model.chat_prompt, messages)
        return await self.acomplete(prompt, params, **settings)

    async def _submitted(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None,
        settings: GenerationSettings,
    ) -> Stream:
        """The stream of a prompt. A long text takes time to tokenize, so a thread does that."""
        import asyncio  # deferred: few programs need it

        scheduler = self._shared.get()
        return await asyncio.to_thread(
            scheduler.submit, prompt, params, adapter=self._adapter, **settings
        )
