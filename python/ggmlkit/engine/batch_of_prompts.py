"""Many prompts at once through a scheduler, and their results in order."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ggmlkit.arguments import check_progress, counted, shown
from ggmlkit.engine.generation import check_fits
from ggmlkit.engine.result import GenerationResult, result_of
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.engine.token_ids import prompt_ids
from ggmlkit.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.scheduler import Scheduler
    from ggmlkit.engine.sequence import Adapter, TokenIds

BatchProgress = Callable[[int, int], None]  # prompts that are done, and all


def checked_prompts(model: Model, prompts: Iterable[str | TokenIds]) -> list[list[int]]:
    """Token ids of each prompt.

    Raises:
        ArgumentError: they are no list, or one of them is none.
        ModelError: one does not fit the context.
    """
    if isinstance(prompts, (str, bytes)) or not isinstance(prompts, Iterable):
        raise ArgumentTypeError(f"prompts must be a list of prompts, not {shown(prompts)}")
    found = []
    for place, prompt in enumerate(prompts):
        name = f"prompts[{place}]"
        ids = prompt_ids(prompt, model.config.vocab, lambda: model.tokenizer, name)
        check_fits(model, len(ids), name)
        found.append(ids)
    return found


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
