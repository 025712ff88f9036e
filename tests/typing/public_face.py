"""The types that users' checkers see: `make lint` and tests/test_typing.py check them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk

Floats = NDArray[np.float32]


class Torch:
    """Stands in for torch's tensors, whose types take too long to check."""

    def detach(self) -> Torch:
        return self

    def backward(self) -> None: ...


def values(tensor: gk.Tensor, out: NDArray[np.float16]) -> None:
    assert_type(tensor.dequantize(), Floats)
    assert_type(tensor.dequantize(threads=2), Floats)
    assert_type(tensor.dequantize(np.float64), NDArray[np.float64])
    assert_type(tensor.dequantize(np.dtype(np.int32)), NDArray[np.int32])
    assert_type(tensor.dequantize(out=out), NDArray[np.float16])
    assert_type(tensor.dequantize("float16"), NDArray[Any])
    assert_type(gk.dequantize(tensor), Floats)
    assert_type(gk.dequantize(tensor, np.float16), NDArray[np.float16])
    assert_type(tensor.numpy(), NDArray[Any])
    assert_type(tensor.dtype, np.dtype[Any])


def rows(tensor: gk.Tensor) -> None:
    assert_type(tensor[3], gk.Tensor)
    assert_type(tensor[10:20], gk.Tensor)
    assert_type(tensor[1, 2:4], gk.Tensor)
    assert_type(iter(tensor), Iterator[gk.Tensor])


def products(x: Floats, tensor: gk.Tensor, packed: gk.PackedMatrix, torch: Torch) -> None:
    assert_type(x @ tensor.T, Floats)
    assert_type(x @ packed.T, Floats)
    assert_type([[1.0, 2.0]] @ tensor.T, Floats)
    assert_type(torch @ tensor.T, Torch)
    assert_type(gk.matmul(x, tensor), Floats)


def files(path: str, array: Floats) -> None:
    with gk.open(path) as file:
        assert_type(file["a"], gk.Tensor)
        assert_type(file.find("*"), list[str])
    gk.save(path, {"a": array, "b": gk.quantize(array, "q8_0")})


def models(path: str) -> None:
    with gk.Llama(path, threads=2) as llm:
        assert_type(llm, gk.Llama)
        assert_type(llm.logits([1, 2]), Floats)
        assert_type(llm.chat([{"role": "user", "content": "Hi"}], top_k=3), Iterator[str])
        llm.chat([], temprature=1)  # type: ignore[call-arg]
        llm.chat([], top_k="3")  # type: ignore[arg-type]
        assert_type(llm.generate_tokens("a", logprobs=True), Iterator[gk.Token])
        assert_type(llm.stats, gk.Stats)
        assert_type(llm.complete("a", max_tokens=3).text, str)
        assert_type(llm.chat_complete([]).usage, gk.Usage)
        assert_type(llm.generate_batch(["a", [1, 2]], top_k=3), list[gk.GenerationResult])
        assert_type(llm.apply_template([], tools=[{}], enable_thinking=False), str)
        assert_type(llm.embed(["a"], "last"), Floats)
        assert_type(llm.embed(["a", [1]], pooling="none"), list[Floats])
        assert_type(llm.score("a b").perplexity, float)
        assert_type(llm.choose("a", ["b", "c"]), gk.Choice)
        llm.generate_batch(["a"], progress=len)  # type: ignore[arg-type]
    gk.Lama(path)  # type: ignore[attr-defined]


async def coroutines(llm: gk.Llama, stream: gk.Stream) -> None:
    assert_type(await llm.acomplete("a", top_k=3), gk.GenerationResult)
    assert_type([token async for token in llm.agenerate_tokens("a")], list[gk.Token])
    assert_type([token async for token in stream], list[gk.Token])


def batches(model: gk.Model, adapters: dict[str, gk.Adapter]) -> None:
    with model.sequence(adapter=adapters["a"]) as sequence:
        assert_type(model.step([gk.Chunk(sequence, [1, 2], "all")]), list[Floats])
    with gk.Scheduler(model) as scheduler:
        streams = [scheduler.submit(model.chat_prompt([])) for _ in range(2)]
        assert_type(streams, list[gk.Stream])
        assert_type([token.logprob for token in streams[0]], list[float | None])


def evaluated(path: str) -> None:
    found = gk.evaluation.perplexity(path, "text", base=path)
    assert_type(found, gk.evaluation.Perplexity)
    assert_type(found.base, gk.evaluation.Divergence | None)
    assert_type(found.perplexity.value, float)
