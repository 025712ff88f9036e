"""Functions that a step calls: observers, handlers of signals. What they may do meanwhile."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import random_model
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Chunk


@pytest.fixture(autouse=True)
def end_of_a_deadlock() -> Iterator[None]:
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


USES: list[Callable[[Model, gk.Sequence], Any]] = [
    lambda of, _: of.step([Chunk(of.sequence(), [1])]),
    lambda of, _: of.nbytes,
    lambda _, sequence: len(sequence),
    lambda _, sequence: sequence.tokens,
    lambda _, sequence: sequence.truncate(0),
    lambda _, sequence: sequence.fork(),
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("own", [True, False])
def test_what_would_wait_for_the_step_is_refused(
    use: Callable[[Model, gk.Sequence], Any], own: bool
) -> None:
    engine = Model(random_model(), context=64, contexts=4)
    other = engine if own else Model(random_model(), context=64)
    sequence = engine.sequence()
    used = sequence if own else other.sequence()
    with pytest.raises(gk.ModelError, match="after the step"):
        engine.step([Chunk(sequence, [1, 2])], lambda *_: use(other, used))
    assert len(sequence) == 0
    use(other, used)


def test_an_observer_may_quantize_and_close() -> None:
    engine = Model(random_model(), context=64)
    (expected,) = engine.step([Chunk(engine.sequence(), [1, 2])])
    sequence, ones = engine.sequence(), np.ones((512, 512), np.float32)
    found = []

    def observe(*_: object) -> None:
        found.append(gk.quantize(ones, "q4_0").dequantize())
        sequence.close()
        engine.close()

    (logits,) = engine.step([Chunk(sequence, [1, 2])], observe)
    np.testing.assert_array_equal(logits, expected)
    assert all((each == ones).all() for each in found)
    with pytest.raises(gk.ClosedError):
        len(sequence)


def test_an_observer_is_a_function() -> None:
    engine = Model(random_model(), context=64)
    with pytest.raises(gk.ArgumentError, match="observer must be a function, not 5"):
        engine.step([Chunk(engine.sequence(), [1])], 5)  # type: ignore[arg-type]


def test_a_signals_handler_does_not_wait_for_the_step_it_interrupts() -> None:
    engine = Model(random_model("f32", ffn=4096), context=20_000, contexts=2)
    (sequence, other), said = (engine.sequence(), engine.sequence()), []

    def handle(*_: object) -> None:
        try:
            len(sequence)
        except gk.ModelError as error:
            said.append(str(error))
        engine.step([Chunk(other, [1])])

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        engine.step([Chunk(sequence, [1] * 1500)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(said) == 1
    assert "after the step" in said[0]
    assert (len(sequence), len(other)) == (1500, 1)
