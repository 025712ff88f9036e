"""Mapping files into memory."""

from __future__ import annotations

import os

import pytest

import ggmlkit as gk
from paths import GOLDEN


def test_a_pipe_with_a_model_is_refused_as_a_pipe() -> None:
    read, write = os.pipe()
    try:
        os.write(write, (GOLDEN / "ggjt-v3-q4_0.bin").read_bytes()[:4096])
        with pytest.raises(gk.FormatError, match="a pipe or device can't be mapped"):
            gk.open(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)
