"""The wire format of protocol buffers, compared with the protobuf package."""

from __future__ import annotations

import google.protobuf.descriptor_pb2 as descriptor
import pytest

from ggmlkit.io.foreign.protobuf import fields, numbers, signed


def test_fields_of_a_real_message() -> None:
    message = descriptor.FieldDescriptorProto(name="a name", number=-5, type_name="t" * 300)
    raw = message.SerializeToString()
    found = dict(fields(raw, 0, len(raw)))
    assert signed(found[3]) == -5
    assert {n: raw[found[n].start : found[n].stop] for n in (1, 6)} == {
        1: b"a name",
        6: b"t" * 300,
    }


def test_packed_numbers_and_single_ones() -> None:
    location = descriptor.SourceCodeInfo.Location(path=[1, 300, 70000], span=[2**31 - 1])
    raw = location.SerializeToString()
    found = dict(fields(raw, 0, len(raw)))
    assert list(numbers(raw, found[1])) == [1, 300, 70000]
    assert list(numbers(raw, found[2])) == [2**31 - 1]
    assert list(numbers(raw, 2**64 - 1)) == [-1]


def test_numbers_of_fixed_size() -> None:
    option = descriptor.UninterpretedOption(double_value=1.5)
    raw = option.SerializeToString()
    ((_, place),) = fields(raw, 0, len(raw))
    assert isinstance(place, range)
    assert len(place) == 8


@pytest.mark.parametrize(
    "raw",
    [
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\xff" * 11,
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x09\x00\x00",
        b"\x0b",
        b"\x0f\x00",
    ],
)
def test_damaged_messages(raw: bytes) -> None:
    with pytest.raises(ValueError):
        list(fields(raw, 0, len(raw)))


def test_a_message_inside_another_ends_where_it_should() -> None:
    """The bytes after it are not read, not even as the rest of a number."""
    with pytest.raises(ValueError, match="inside a number"):
        list(fields(b"\x08\x80\x01", 0, 2))
