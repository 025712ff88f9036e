"""Work of other threads when the process ends, or forks."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from paths import GOLDEN

BEGIN = f"""
import os, signal, threading, time
import ggmlkit as gk
model = gk.Model({str(GOLDEN / "gguf-v1-f16.bin")!r}, context=400, contexts=4)
begun = threading.Event()
"""
STEPS = """
def work():
    while True:
        model.step([gk.Chunk(model.sequence(), [5] * 300)], OBSERVER)
        begun.set()
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""
SCHEDULER = """
def work():
    while True:
        for token in scheduler.submit("a", ignore_eos=True):
            begun.set()
scheduler = gk.Scheduler(model)
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""
QUANTIZING = """
import numpy as np
def work():
    while True:
        gk.quantize(np.ones((512, 512), np.float32), "q4_K")
        begun.set()
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "work",
    [
        STEPS.replace("OBSERVER", "None"),
        STEPS.replace("OBSERVER", "lambda *_: None"),
        SCHEDULER,
        QUANTIZING,
    ],
)
def test_a_process_ends_while_threads_compute(work: str) -> None:
    run(work)


def test_a_forked_process_computes_but_has_no_scheduler() -> None:
    said = run(
        """
        with gk.Scheduler(model) as scheduler:
            scheduler.submit("a", max_tokens=1).text()
            expected = model.step([gk.Chunk(model.sequence(), [5, 6])])[0]
            if not (child := os.fork()):
                signal.alarm(30)
                found = model.step([gk.Chunk(model.sequence(), [5, 6])])[0]
                print((found == expected).all())
                try:
                    scheduler.submit("a", max_tokens=1)
                except gk.ClosedError as error:
                    print(error, flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert said.startswith("True\nthe scheduler's thread is gone")


def test_a_fork_does_not_wait_for_what_other_threads_held() -> None:
    said = run(
        """
        scheduler = gk.Scheduler(model)
        held, done = threading.Event(), threading.Event()
        def hold():
            with scheduler._changed:
                held.set()
                done.wait()
        threading.Thread(target=hold).start()
        held.wait()
        if not (child := os.fork()):
            signal.alarm(10)
            try:
                scheduler.submit("a", max_tokens=1)
            except gk.ClosedError as error:
                print(error, flush=True)
            scheduler.close()
            os._exit(0)
        done.set()
        assert os.waitpid(child, 0)[1] == 0
        scheduler.close()
        """
    )
    assert said.startswith("the scheduler's thread is gone")


def test_a_forked_process_makes_another_scheduler_for_batches() -> None:
    said = run(
        """
        llm = gk.Llama(model.file)
        def text():
            return llm.generate_batch(["a"], max_tokens=3, temperature=0)[0].text
        expected = text()
        if not (child := os.fork()):
            signal.alarm(30)
            print(text() == expected, flush=True)
            llm.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert said == "True\n"
