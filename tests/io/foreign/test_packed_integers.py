"""Integers packed into words, compared with Python's big integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ggmlkit.io.foreign.packed_integers import unpacked


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@given(data=st.data())
def test_each_row_is_one_long_number(bits: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 3))
    words = 3 * data.draw(st.integers(1, 4))
    count = 32 * words // bits
    values = data.draw(
        st.lists(
            st.lists(st.integers(0, 2**bits - 1), min_size=count, max_size=count),
            min_size=rows,
            max_size=rows,
        )
    )
    numbers = [sum(v << bits * n for n, v in enumerate(row)) for row in values]
    raw = b"".join(number.to_bytes(4 * words, "little") for number in numbers)
    packed = np.frombuffer(raw, "<u4").reshape(rows, words)
    assert unpacked(packed, bits).tolist() == values
    # A slice of columns, as in transposed layers.
    assert unpacked(np.asfortranarray(packed), bits).tolist() == values
