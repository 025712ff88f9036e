"""Long contexts, the types of cached keys and values, and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decoder_models import assert_exact, fresh, random_model, rms
from ggmlkit.engine.llama import Llama
from oracle import Oracle, as_q4_0, as_q8_0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tail", [1, 2, 8, 9, 30])
def test_any_split_of_a_long_text_equals_the_oracle(threads: int, tail: int) -> None:
    model = random_model("f32", **{"context_length": 700})
    tokens = list(np.random.default_rng(8).integers(0, 101, 600))
    expected = Oracle(model.metadata, model.tensors).logits(tokens)
    llama = Llama(model, threads=threads)
    llama.eval(tokens[: 600 - tail])
    assert_exact(llama.eval(tokens[600 - tail :])[None], expected[-1:])
    assert_exact(llama.logits(tokens), expected)


def test_thread_count_does_not_change_a_single_bit() -> None:
    model = random_model("q4_0", **{"context_length": 700})
    tokens = list(np.random.default_rng(8).integers(0, 101, 600))
    one, two = (Llama(model, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.eval(tokens), two.eval(tokens))
    np.testing.assert_array_equal(one.eval([3]), two.eval([3]))
    np.testing.assert_array_equal(one.eval([3, 4, 5]), two.eval([3, 4, 5]))


# The differences of rounding itself, in standard deviations, and bytes of 64 elements.
ROUNDING = {
    "q8_0": (as_q8_0, as_q8_0, 0.04, 68),
    "q8_0/q4_0": (as_q8_0, as_q4_0, 0.25, 52),
    "q4_0": (as_q4_0, as_q4_0, 0.5, 36),
}


@pytest.mark.parametrize("kv_type", ROUNDING)
def test_a_rounded_cache_equals_the_oracle_that_rounds_and_is_smaller(kv_type: str) -> None:
    keys, values, largest, size = ROUNDING[kv_type]
    model = random_model("f32", **{"context_length": 700})
    tokens = list(np.random.default_rng(9).integers(0, 101, 600))
    exact = Oracle(model.metadata, model.tensors).logits(tokens)
    oracle = Oracle(model.metadata, model.tensors, cached=keys, cached_values=values)
    rounding = oracle.logits(tokens)
    small, large = (Llama(model, kv_type=kind, context=4096) for kind in (kv_type, "f16"))
    got = small.logits(tokens)
    large.logits(tokens)
    assert rms(exact - rounding) < largest * exact.std()
    assert rms(got - rounding) < 0.35 * rms(exact - rounding)
    pages = -(-len(tokens) // 64)  # memory is taken as it is used
    cache = 2 * 2 * 2 * 32 * pages * 64 * 2  # layers, kv heads, keys and values, head_dim
    assert large.nbytes - small.nbytes == pytest.approx(cache * (1 - size / 128), rel=1e-3)


@pytest.mark.parametrize("kv_type", ["q5_0", "q8_0/", "f16/q8_0/q4_0", "q8_0/q5_0", ""])
def test_unknown_cache_types_are_refused(kv_type: str) -> None:
    with pytest.raises(ValueError, match=f"kv_type is '{kv_type}', not one of f16, q8_0, q4_0, or"):
        fresh(kv_type=kv_type)


def test_unknown_bits_of_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="activation_bits is 4, not 8 or 16"):
        fresh(activation_bits=4)


@pytest.mark.parametrize("kind", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_weights_used_in_place_give_the_same_logits(kind: str) -> None:
    model = random_model(kind)
    tokens = list(np.random.default_rng(1).integers(0, 101, 70))
    packed, mapped = (Llama(model, repack=repack) for repack in (True, False))
    np.testing.assert_array_equal(mapped.logits(tokens), packed.logits(tokens))
    weights = sum(t.nbytes for name, t in model.tensors.items() if "norm" not in name)
    assert packed.nbytes - mapped.nbytes >= weights


RESIDENT = """
import os, sys
import ggmlkit as gk
from ggmlkit.engine import llama
def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
before = resident()
llm = gk.Llama(sys.argv[1], context=int(sys.argv[2]), repack=sys.argv[3] == "True")
llm.eval([1, 2, 3])
print(resident() - before, llm.nbytes)
"""


def resident_growth(path: Path, context: int, *, repack: bool) -> tuple[int, int]:
    command = [sys.executable, "-c", RESIDENT, str(path), str(context), str(repack)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, own = map(int, run.stdout.split())
    return grown, own


def test_memory_is_little_more_than_the_file(smollm2_gguf: Path) -> None:
    context = 2048
    cache = 30 * 3 * 64 * 2 * 2 * context
    grown, own = resident_growth(smollm2_gguf, context, repack=True)
    limit = 1.15 * smollm2_gguf.stat().st_size + cache
    assert grown <= limit
    assert own <= limit
    _, mapped = resident_growth(smollm2_gguf, context, repack=False)
    assert mapped < 0.2 * smollm2_gguf.stat().st_size + cache
