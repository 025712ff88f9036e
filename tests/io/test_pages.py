"""Only pages of files are released, and their content stays the same."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from ggmlkit.io.pages import release


def resident(mapped_at: int) -> int:
    """KiB of the mapping that contains this address that are in memory."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            low, high = (int(part, 16) for part in first.split("-"))
            inside = low <= mapped_at < high
        elif inside and first == "Rss:":
            return int(line.split()[1])
    raise AssertionError("no such mapping")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_view_of_a_file_is_released_and_still_reads_the_same(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)
    content.tofile(tmp_path / "file")
    with (tmp_path / "file").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = np.frombuffer(mapped, np.uint8)[5000:900_000].view()
    assert np.array_equal(view, content[5000:900_000])
    before = resident(view.ctypes.data)
    release(view)
    assert before - resident(view.ctypes.data) >= 800
    assert np.array_equal(view, content[5000:900_000])


def test_other_arrays_are_not_changed() -> None:
    for array in (np.arange(9, dtype=np.uint8), np.empty(0, np.uint8)):
        before = array.copy()
        release(array)
        assert np.array_equal(array, before)


def test_data_written_to_a_private_mapping_stays(tmp_path: Path) -> None:
    np.zeros(1 << 16, np.uint8).tofile(tmp_path / "file")
    array = np.memmap(tmp_path / "file", np.uint8, "c")
    array[:] = 7
    release(array[4096:])
    assert (array == 7).all()
