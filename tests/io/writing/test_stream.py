"""Several threads write parts of tensors: the file is the same, and doesn't appear if one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ggmlkit import io
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor

SIZE = 100


def parted(parts: int, start: int = 0, failing: set[int] | None = None) -> PartedTensor:
    """Part k is 100 bytes with the value start + k, or fails."""

    def all_parts() -> Iterator[Part]:
        for k in range(start, start + parts):

            def make(out: np.ndarray, _threads: int | None, k: int = k) -> None:
                if failing and k in failing:
                    raise RuntimeError(f"part {k}")
                out[:] = k

            yield Part(SIZE, make)

    return PartedTensor("i8", (parts * SIZE,), all_parts)


def tensors() -> dict[str, Tensor]:
    plain = np.arange(77, dtype=np.uint8)
    return {"a": parted(7), "b": Tensor("i8", (77,), plain), "c": parted(50, 7)}


def test_whole_data_is_the_parts_in_order() -> None:
    assert np.array_equal(parted(5, 2).data, np.repeat(np.arange(2, 7), SIZE))


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_threads_do_not_change_the_file(tmp_path: Path, threads: int | None) -> None:
    io.save(tmp_path / "out.gguf", tensors(), {"general.alignment": 64}, threads=threads)
    with io.open(tmp_path / "out.gguf") as file:
        assert file.names == ["a", "b", "c"]
        for name, tensor in tensors().items():
            assert np.array_equal(file[name].data, tensor.data)
    size = (tmp_path / "out.gguf").stat().st_size
    assert size % 64 == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_of_several_failures_is_raised(tmp_path: Path, threads: int) -> None:
    (tmp_path / "out.gguf").write_bytes(b"old")
    with pytest.raises(RuntimeError, match=r"part 9$"):
        io.save(tmp_path / "out.gguf", {"a": parted(40, 0, {9, 10, 11})}, {}, threads=threads)
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]
    assert (tmp_path / "out.gguf").read_bytes() == b"old"


@pytest.mark.parametrize("threads", [1, 3])
def test_an_interrupt_ends_all_threads_and_leaves_nothing(tmp_path: Path, threads: int) -> None:
    def interrupt(done: int, *_: object) -> None:
        if done:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        io.save(
            tmp_path / "out.gguf", tensors() | {"d": parted(90)}, {}, threads=threads,
            progress=interrupt,
        )  # fmt: skip
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_grows_to_the_whole_and_comes_from_the_caller(
    tmp_path: Path, threads: int
) -> None:
    calls: list[tuple[int, int, str]] = []

    def note(*call: object) -> None:
        assert threading.current_thread() is threading.main_thread()
        calls.append(call)  # type: ignore[arg-type]

    io.save(tmp_path / "out.gguf", tensors(), {}, threads=threads, progress=note)
    assert calls == sorted(calls, key=lambda call: call[0])
    assert calls[-1] == (5777, 5777, "")
    if threads == 1:
        assert [name for _, _, name in calls if name == "b"] == ["b"]
