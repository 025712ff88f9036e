"""What a word must be, and what is said if it isn't."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.cli import values


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (values.whole_number(1), "3", 3),
        (values.whole_number(-1), "-1", -1),
        (values.number(0), "1e3", 1000.0),
        (values.one_of("a", "b"), "b", "b"),
        (values.seed, "-1", None),
        (values.seed, str(2**64 - 1), 2**64 - 1),
        (values.size, "500m", 500_000_000),
        (values.type_name, "Q4_k_m", "q4_K_M"),
        (values.type_name, "Q4_K", "q4_K"),
        (values.tensor_type, "a=b=Q6_K", ("a=b", "q6_K")),
        (values.adapter, "a", (Path("a"), 1.0)),
        (values.adapter, "a:0.5", (Path("a"), 0.5)),
        (values.adapter, "a:-2", (Path("a"), -2.0)),
        (values.adapter, "c:/a", (Path("c:/a"), 1.0)),
        (values.adapter, "a:b:3", (Path("a:b"), 3.0)),
    ],
)
def test_words_become_values(value: Callable[[str], Any], text: str, expected: object) -> None:
    assert value(text) == expected


def test_an_adapter_that_exists_as_a_whole_has_no_scale(tmp_path: Path) -> None:
    there = tmp_path / "a:2"
    there.touch()
    assert values.adapter(str(there)) == (there, 1.0)


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        (values.whole_number(1), "0", "must be at least 1, not 0"),
        (values.whole_number(1), "1.5", "must be a whole number, not '1.5'"),
        (values.whole_number(1), str(2**31), "must be from 1 to 2147483647, not 2147483648"),
        (values.whole_number(1, 3), "4", "must be from 1 to 3, not 4"),
        (values.number(0), "-1", "must be at least 0, not -1"),
        (values.number(0, 1), "1.5", "must be from 0 to 1, not 1.5"),
        (values.number(), "nan", "must be a number, not 'nan'"),
        (values.number(), "inf", "must be a number, not 'inf'"),
        (values.one_of("f16", "q8_0"), "q8-0", "must be f16 or q8_0, not 'q8-0'; did you mean 'q8"),
        (values.path, "", "must not be empty"),
        (values.adapter, "", "must not be empty"),
        (values.number(0), "1e300", "must be from 0 to 3.4e+38, not 1e+300"),
        (values.seed, "-2", "must be from -1 to 18446744073709551615, not -2"),
        (values.size, "1 MB", "must be a size such as 500M or 2G, not '1 MB'"),
        (values.size, "0", "must be a size"),
        (values.type_name, "q8", "did you mean 'q8_0'"),
        (values.type_name, "q4_2", "must be a type that can be written, not 'q4_2'"),
        (values.tensor_type, "q8_0", "must be PATTERN=TYPE, not 'q8_0'"),
        (values.tensor_type, "(=q8_0", "must begin with a regular expression"),
        (values.tensor_type, "a=q4_K_M", "must give a matrix one type; 'q4_K_M' is a mixture"),
        (values.tensor_type, "a=q9_0", "must be a type that can be written, not 'q9_0'; did you"),
        (values.adapter, "a:nan", "must be ADAPTER:SCALE"),
        (values.adapter, "a:inf", "must be ADAPTER:SCALE"),
        (values.adapter, ":1", "must be ADAPTER:SCALE"),
    ],
)
def test_words_that_do_not_fit(value: Callable[[str], Any], text: str, message: str) -> None:
    with pytest.raises(ArgumentTypeError) as told:
        value(text)
    assert str(told.value).startswith(message) or message in str(told.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*", "*"),
        ("https://Example.org", "https://example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("tauri://localhost", "tauri://localhost"),
    ],
)
def test_origins(text: str, found: str) -> None:
    assert values.origin(text) == found


@pytest.mark.parametrize("text", ["null", "example.org", "https://a.org/", "https://u@a.org", ""])
def test_what_no_page_has_for_an_origin(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must"):
        values.origin(text)
