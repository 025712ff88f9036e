"""Generation in the caller's thread: prefill the prompt, then decode token after token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ggmlkit.engine.completion import Token
from ggmlkit.engine.decoding import Decoding, Part
from ggmlkit.engine.request import Request

if TYPE_CHECKING:
    from ggmlkit.engine.constraint import Constraint
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.engine.sequence import Adapter
    from ggmlkit.engine.speculation.speculator import Speculator
    from ggmlkit.engine.stats import Stats


def generated(
    model: Model,
    prompt: list[int],
    params: SamplingParams,
    limit: int,
    adapter: Adapter | None,
    stats: Stats,
    constraint: Constraint | None = None,
    speculator: Speculator | None = None,
) -> Iterator[Token]:
    """At most ``limit`` tokens that follow a prompt (see `room_for`); ``stats`` keeps count.

    The ``constraint`` is that of the settings; it is made where it isn't given.
    """
    request = Request(list(prompt), params, adapter, limit, constraint, stats=stats)
    decoding = Decoding(model, speculator)
    try:
        request.hold(model.sequence(prompt, adapter))
        while not request.is_over:
            decoding.step([Part(request, request.missing)])
            for found in request.tokens.drain():
                if isinstance(found, Token):
                    given = time.perf_counter()
                    yield found
                    request.since += time.perf_counter() - given  # the caller's own time
                elif found is not None:
                    raise found.__cause__ or found  # the caller's own function's, as it is
    finally:
        decoding.end(request)
        request.let_go()
