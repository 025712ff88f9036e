"""What the endpoints of all APIs share: settings, models, admission, threads, metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from ggmlkit.chat.jobs import Job, Terms
from ggmlkit.chat.validation import Body, misspelt, validated
from ggmlkit.server.admission import Admission
from ggmlkit.server.bodies import json_body
from ggmlkit.server.generating import Generation
from ggmlkit.server.keys import client_of
from ggmlkit.server.logs import note
from ggmlkit.server.metrics import Metrics, Now
from ggmlkit.server.store.opening import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ggmlkit.server.loading import ServedModel
    from ggmlkit.server.models import Models
    from ggmlkit.server.settings import ServerSettings

T = TypeVar("T")


class Serving:
    """A server's parts; ``serving_of(request)`` gives them to an endpoint.

    Attributes:
        settings: what the server was told.
        models: by name.
        admission: which answers may begin.
        metrics: what is counted.
        threads: for prompts, whose templates and tokenization take a moment.
        grammar_threads: for prompts with a grammar, each of which may take seconds.
        parsers: for large bodies.
        embedders: for vectors of texts.
        responses: that are kept for later requests.
        started_at: seconds since 1970.
        terms: what holds for all requests for texts.
    """

    def __init__(self, settings: ServerSettings, models: Models) -> None:
        self.settings, self.models = settings, models
        self.admission = Admission(settings.engine.parallel, settings.limits.waiting)
        self.metrics = Metrics()
        self.metrics.registry.register(Now(self._gauges))
        self.threads = CapacityLimiter(4)
        self.grammar_threads = CapacityLimiter(2)
        self.parsers = CapacityLimiter(2)
        self.embedders = CapacityLimiter(1)
        self.responses = opened(settings.store)
        self.started_at = int(time.time())
        self.terms = Terms(
            {"context_shift": settings.context_shift},
            variables=settings.template_variables,
            most_tokens=settings.limits.max_tokens,
            seconds=settings.limits.seconds,
        )
        self._generations: WeakSet[Generation] = WeakSet()

    async def body(self, request: Request, model: type[Body]) -> Body:
        """The body of a request; raises RequestError if it is not as the model has it."""
        given = await self.json(request)
        if meant := misspelt(model, given):
            note(request.scope, misspelt=meant)
        return validated(model, given)

    async def json(self, request: Request) -> dict[str, Any]:
        """The JSON object of a request; raises RequestError as :func:`json_body` does."""
        return await json_body(request, self.settings.limits, self.parsers)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of work that may take a moment."""
        return await to_thread.run_sync(work, limiter=self.threads)

    @asynccontextmanager
    async def admitted(
        self, request: Request, name: str | None, answers: int = 1
    ) -> AsyncIterator[ServedModel]:
        """A model that stays loaded for the block, with room for some answers.

        Raises:
            RequestError: there is no such model, or no room.
        """
        source = self.models.source(name)
        note(request.scope, model=source.name)
        with self.admission.admitted(source.name, answers):
            async with self.models.using(source.name) as served:
                yield served

    @asynccontextmanager
    async def generation(
        self,
        request: Request,
        name: str | None,
        job_of: Callable[[Terms, ServedModel], Job],
        answers: int = 1,
    ) -> AsyncIterator[Generation]:
        """The answers to a request, submitted; closed and counted at the end of the block.

        Args:
            name: of the model that the request asks for.
            job_of: what is to be generated, found in a thread; raises RequestError.
            answers: that there are to be room for.

        Raises:
            RequestError: there is no such model, or no room, a prompt is too long, or a setting
                can't be used.
        """
        async with self.admitted(request, name, answers) as served:
            job = await self.in_thread(partial(job_of, self.terms, served))
            async with self._generation(request, served, job) as generation:
                yield generation

    @asynccontextmanager
    async def _generation(
        self, request: Request, served: ServedModel, job: Job
    ) -> AsyncIterator[Generation]:
        threads = self.threads if job.params.wanted_grammar() is None else self.grammar_threads
        generation = Generation(served, job, client_of(request), threads, self.metrics)
        self._generations.add(generation)
        try:
            await generation.start()
            yield generation
        finally:
            generation.close()
            usage = generation.usage
            self.metrics.used(usage)
            for stats in generation.work:
                self.metrics.worked(stats)
            note(
                request.scope,
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                tokens=usage.completion_tokens,
            )

    def generations(self, model: str) -> list[Generation]:
        """The generations of a model that are not closed, those that came first before others."""
        found = [each for each in self._generations if each.model == model]
        return sorted(found, key=lambda each: each.started_at)

    def expire_all(self) -> None:
        """End all answers now, with what there is of them."""
        for generation in list(self._generations):
            generation.expire()

    def _gauges(self) -> Iterable[tuple[str, str, dict[str, float]]]:
        served = self.models.served
        waiting = {each.name: float(self.admission.waiting(each.name)) for each in served}
        running = {each.name: float(each.running) for each in served}
        used = {
            each.name: 1 - each.model.free_cache_tokens / each.model.cache_tokens for each in served
        }
        yield "batch_size", "Answers that are generated now.", running
        yield "waiting", "Answers that wait for their turn.", waiting
        yield "cache_used_ratio", "Share of the cache that answers hold.", used


def serving_of(request: Request) -> Serving:
    """The parts of the server that got a request."""
    found: Serving = request.app.state.serving
    return found
