"""One context of a model: continued, truncated, reset; threads; locked weights."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

import matrices
from decoder_models import TOKENS, fresh, random_model
from ggmlkit.engine.llama import Llama
from paths import GOLDEN


def test_reset_empties_the_context() -> None:
    llama = Llama(random_model("f32"))
    first = llama.eval([3, 1])
    llama.eval([4, 1])
    llama.reset()
    assert llama.tokens == ()
    # The same bits as in a new context.
    np.testing.assert_array_equal(llama.eval([3, 1]), first)


def test_truncate_keeps_the_first_tokens() -> None:
    llama = Llama(random_model("f32"))
    expected = llama.logits([3, 1, 4, 1])[-1]
    llama.truncate(2)
    assert llama.tokens == (3, 1)
    np.testing.assert_allclose(llama.eval([4, 1]), expected, atol=1e-4)
    llama.truncate(9)
    assert llama.tokens == (3, 1, 4, 1)


@pytest.mark.parametrize("kind", ["f32", "q4_0"])
@pytest.mark.parametrize("threads", [1, 2])
def test_continuing_equals_one_prompt_across_tiles(kind: str, threads: int) -> None:
    # If whole panels are multiplied in bfloat16, the bits depend on the number of tokens in a call.
    bits = 16 if matrices.HERE else 8
    llama = Llama(random_model(kind), threads=threads, activation_bits=bits)
    tokens = list(np.random.default_rng(4).integers(0, 101, 300))
    every = llama.logits(tokens)
    llama.reset()
    llama.eval(tokens[:7])
    llama.eval(tokens[7:280])
    for token in tokens[280:299]:
        llama.eval([token])
    last = llama.eval([tokens[299]])
    np.testing.assert_allclose(last, every[-1], atol=2e-3 if kind == "q4_0" else 1e-4)
    assert llama.tokens == tuple(tokens)


def test_thread_count_does_not_change_the_logits() -> None:
    one, two = (fresh("ggjt-v3-q5_0.bin", threads=n).logits(TOKENS) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_eval_returns_the_last_row_of_logits() -> None:
    llama = fresh()
    every = llama.logits(TOKENS)
    llama.reset()
    np.testing.assert_array_equal(llama.eval(np.array(TOKENS)), every[-1])


def test_two_python_threads_can_run_two_models() -> None:
    expected = fresh().logits(TOKENS)
    results: list[NDArray[np.float32]] = []

    def work() -> None:
        llama = fresh()
        results.extend(llama.logits(TOKENS) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_default_context_is_the_trained_one() -> None:
    assert fresh().context == 2048
    assert fresh(context=10).context == 10


def test_locked_weights_give_the_same_logits() -> None:
    path = GOLDEN / "ggjt-v3-q4_0.bin"
    expected = Llama(path).logits(TOKENS)
    np.testing.assert_array_equal(Llama(path, mlock=True).logits(TOKENS), expected)


# Root can lock memory whatever the limit, unless its process drops that capability. The numbers are
# the kernel's, for version 3 of the call and CAP_IPC_LOCK.
REFUSED_LOCK = """
import ctypes, resource, sys
import ggmlkit as gk

libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
capabilities = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low words, then high
assert libc.capget(header, capabilities) == 0
for kind in range(3):
    capabilities[kind] &= ~(1 << 14)
assert libc.capset(header, capabilities) == 0
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
try:
    gk.Llama(sys.argv[1], mlock=True)
except gk.ModelError as error:
    print(error)
"""


def test_refused_lock_is_an_error() -> None:
    path = str(GOLDEN / "ggjt-v3-q4_0.bin")
    command = [sys.executable, "-c", REFUSED_LOCK, path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "refuses to lock the weights" in done.stdout
