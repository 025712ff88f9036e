"""Many prompts at once through a scheduler, and their results in order."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ggmlkit.arguments import check_progress, counted
from ggmlkit.engine.result import GenerationResult, result_of
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.errors import ArgumentError

if TYPE_CHECKING:
    from ggmlkit.engine.scheduler import Scheduler
    from ggmlkit.engine.sequence import Adapter

BatchProgress = Callable[[int, int], None]  # prompts that are done, and all


def params_of_each(
    params: SamplingParams | abc.Sequence[SamplingParams] | None,
    settings: GenerationSettings,
    prompts: int,
) -> list[SamplingParams]:
    """The params of each of so many prompts.

    Raises:
        ArgumentError: they are not one for all or one for each.
    """
    if not isinstance(params, (list, tuple)):
        return [chosen_params(params, settings)] * prompts  # type: ignore[arg-type]
    if len(params) != prompts:
        raise ArgumentError(
            f"{len(params)} params for {counted(prompts, 'prompt')}: give one for all, or one each"
        )
    return [chosen_params(each, settings) for each in params]


def results(
    scheduler: Scheduler,
    prompts: abc.Sequence[list[int]],
    params: abc.Sequence[SamplingParams],
    adapter: Adapter | None,
    progress: BatchProgress | None,
) -> list[GenerationResult]:
    """The result of each prompt. Where one fails, the others are given up."""
    check_progress(progress)
    with ExitStack() as open_streams:
        streams = [
            open_streams.enter_context(scheduler.submit(ids, each, adapter=adapter))
            for ids, each in zip(prompts, params, strict=True)
        ]
        found: list[GenerationResult] = []
        for stream in streams:
            tokens = list(stream)
            found.append(result_of(tokens, stream.stats))
            if progress is not None:
                progress(len(found), len(streams))
        return found
