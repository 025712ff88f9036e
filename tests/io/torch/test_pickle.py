"""The pickle interpreter gives the same results as Python's, for all values of state dicts."""

from __future__ import annotations

import collections
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ggmlkit.io.torch.pickle import unpickled

KEYS = st.none() | st.booleans() | st.text() | st.integers(-(1 << 63), (1 << 64) - 1)
SCALARS = KEYS | st.floats(allow_nan=False) | st.integers(-(1 << 300), 1 << 300) | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.tuples(inner, inner, inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.dictionaries(KEYS, inner).map(collections.OrderedDict)
    ),
)


@given(VALUES, st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_values_as_python_reads_them(value: Any, protocol: int) -> None:
    pickled = pickle.dumps([value, value], protocol)
    try:
        found = unpickled(b"ab" + pickled + b"cd", 2)
    except pickle.UnpicklingError as error:
        # Before protocols 3 and 4, Python pickles bytes and sets as calls of other functions.
        assert protocol < 4
        assert "which is not part of a tensor" in str(error)  # noqa: PT017
        return
    assert found.tree == [value, value]
    assert found.end == 2 + len(pickled)
    assert found.tree[0] is found.tree[1] or not isinstance(value, (list, dict))


def test_python_2s_ordered_dictionary() -> None:
    """The constructor gets a list of pairs."""
    pickled = b"ccollections\nOrderedDict\np0\n((lp1\n(lp2\nU\x01aaI1\naa"
    assert unpickled(pickled + b"tR.").tree == {"a": 1}


def test_keys_that_are_left_out() -> None:
    value = {"a": 1, (1, 2): 2, 1.5: 3, b"b": 4, 2: 5, 1 << 70: 6, None: 7}
    kept = {"a": 1, 2: 5, None: 7}
    assert unpickled(pickle.dumps(value, 4)).tree == kept
    assert unpickled(pickle.dumps(collections.OrderedDict(value), 4)).tree == kept
    assert unpickled(pickle.dumps(set(value), 4)).tree == set(kept)


@pytest.mark.parametrize("protocol", range(5))
def test_every_cut(protocol: int) -> None:
    """A pickle that ends too early is an error."""
    value = {
        "a": [1, -70000, 2**40, 1.5, "é" * 300, None, True],
        "b": collections.OrderedDict(c=()),
    }
    pickled = pickle.dumps(value, protocol)
    for end in range(len(pickled)):
        with pytest.raises(pickle.UnpicklingError):
            unpickled(pickled[:end])
