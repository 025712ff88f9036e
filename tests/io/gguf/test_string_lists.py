"""Metadata whose strings are made on use behaves like a plain dict of lists."""

from __future__ import annotations

import copy
import json
import pickle
import struct
from collections.abc import Callable

import pytest

from ggmlkit import _core
from ggmlkit.io.gguf.string_lists import StoredValues

TEXTS = ["", "a", "Ġthe", "日本", "🙂", "end"]


def stored(texts: list[bytes], wide: bool = True, big_endian: bool = False) -> _core.StoredStrings:
    form = (">" if big_endian else "<") + ("Q" if wide else "I")
    data = b"".join(struct.pack(form, len(text)) + text for text in texts)
    strings, end = _core.stored_strings(b"before" + data, 6, len(texts), wide, big_endian)
    assert end == 6 + len(data)
    return strings


def values() -> StoredValues:
    found = StoredValues(n=1)
    found["texts"] = stored([text.encode() for text in TEXTS])
    return found


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("big_endian", [True, False])
def test_strings_come_one_by_one_and_as_a_list(wide: bool, big_endian: bool) -> None:
    raw = [text.encode() for text in TEXTS] + [b"\xff no text"]
    strings = stored(raw, wide, big_endian)
    wanted = [*TEXTS, b"\xff no text"]
    assert len(strings) == len(wanted)
    assert list(strings) == [strings[i] for i in range(len(strings))] == strings.list() == wanted
    with pytest.raises(IndexError):
        strings[len(wanted)]


@pytest.mark.parametrize(("count", "found"), [(2, 2), (3, 3), (4, 3), (2**62, 3)])
def test_only_strings_that_are_complete_in_the_data(count: int, found: int) -> None:
    data = b"".join(struct.pack("<Q", 1) + b"x" for _ in range(3)) + struct.pack("<Q", 5) + b"cut"
    strings, end = _core.stored_strings(data, 0, count, True, False)
    assert strings.list() == ["x"] * found
    assert end == 9 * found
    strings, end = _core.stored_strings(data, len(data) + 1, count, True, False)
    assert (len(strings), end) == (0, len(data) + 1)


@pytest.mark.parametrize(
    "read",
    [
        lambda v: v["texts"],
        lambda v: v.get("texts"),
        lambda v: v.pop("texts"),
        lambda v: v.popitem()[1],
        lambda v: v.setdefault("texts", []),
        lambda v: dict(v)["texts"],
        lambda v: {**v}["texts"],
        lambda v: dict.fromkeys(v) and dict(v.items())["texts"],
        lambda v: list(v.values())[1],
        lambda v: v.copy()["texts"],
        lambda v: copy.copy(v)["texts"],
        lambda v: copy.deepcopy(v)["texts"],
        lambda v: pickle.loads(pickle.dumps(v))["texts"],
        lambda v: json.loads(json.dumps(v))["texts"],
        lambda v: (v | {})["texts"],
        lambda v: ({} | v)["texts"],
    ],
)
def test_every_way_to_read_gives_lists(read: Callable[[StoredValues], object]) -> None:
    found = read(values())
    assert type(found) is list
    assert found == TEXTS


def test_it_equals_and_shows_as_a_dict_of_lists() -> None:
    plain = {"n": 1, "texts": TEXTS}
    assert values() == plain
    assert plain == values()
    assert values() != {"n": 2, "texts": TEXTS}
    assert repr(values()) == repr(plain)
    assert values().get("none", 3) == 3


def test_a_copy_leaves_the_strings_as_stored() -> None:
    first = values()
    second = first.copy()
    assert first.stored("texts") is not None
    assert second.stored("texts") is first.stored("texts")
    second["texts"].append("more")
    assert second.stored("texts") is None
    assert first["texts"] == TEXTS
    assert first.stored("n") is None
    assert first.stored("none") is None


@pytest.mark.parametrize(
    "piece",
    [
        b"b", "é".encode(), "日".encode(), "🙂".encode(), "\U0010ffff".encode(), b"\xc0\x80",
        b"\x80", b"\xc2", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xed\x9f\xbf", b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xf0\x9f\x99", b"\xe2\x28\xa1",
        b"\xf0\x28\x8c\xbc", b"\xff",
    ],
)  # fmt: skip
def test_byte_pairs_take_stored_strings_as_they_take_lists(piece: bytes) -> None:
    pieces, merges = [b"a", piece, b"a" + piece], [b"a " + piece]
    results = []
    for take in (lambda strings: strings, lambda strings: strings.list()):
        try:
            bpe = _core.Bpe(take(stored(pieces)), take(stored(merges)), False)
            results.append(bpe.encode(["a" + piece.decode()]))
        except ValueError as error:
            results.append(type(error) is ValueError and str(error))
    assert results[0] == results[1]
    try:
        piece.decode()
        assert results[0] == [2]
    except UnicodeDecodeError:
        assert "no pair of pieces" in results[0]
