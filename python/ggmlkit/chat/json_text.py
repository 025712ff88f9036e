"""JSON that anyone may have written, bounded in nesting and numbers; and JSON that is written."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

from ggmlkit.chat.errors import RequestError, bad_request

_DEEPEST: Final = 100  # levels; schemas of tools have about 20
_MOST_CONTAINERS: Final = 200_000  # objects and lists, each of which takes some 60 bytes
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

# Some clients take these for ends of lines.
_BREAKS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def as_json(value: object) -> str:
    """A value as JSON in one line, with characters beyond ASCII as they are."""
    text = _JSON.encode(value)
    return text if text.isascii() else text.translate(_BREAKS)


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object of some bytes; halves of surrogate pairs become U+FFFD.

    Raises:
        RequestError: they are not a JSON object in UTF-8, or it is nested too deeply, has a key
            twice, or a number that is not finite.
    """
    _check_containers(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=with_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise bad_request("the body is not UTF-8", code="invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise bad_request(
            f"the body is not valid JSON: {why_not_json(error)}", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object", code="invalid_json")
    _check_depth(value)
    return _repaired(value) if _SURROGATE.search(data) else value


def checked(body: dict[str, Any]) -> dict[str, Any]:
    """A JSON object that was parsed before; halves of surrogate pairs become U+FFFD.

    Raises:
        RequestError: it is nested too deeply.
    """
    _check_depth(body)
    found: dict[str, Any] = _repaired(body)
    return found


def _check_containers(data: bytes) -> None:
    """Refuse more objects and lists than a request needs, before they take memory."""
    if data.count(b"{") + data.count(b"[") <= _MOST_CONTAINERS:
        return
    bare = _STRING.sub(b"", data)
    if bare.count(b"{") + bare.count(b"[") > _MOST_CONTAINERS:
        raise bad_request(
            f"the body has more than {_MOST_CONTAINERS} objects and lists", code="invalid_json"
        )


def with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; raises ValueError if a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number is too large")
    return value


def why_not_json(error: ValueError) -> str:
    """What is wrong, without what the body says."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    text = str(error)
    return text if len(text) < 80 else "a number has too many digits"


def _too_deep() -> RequestError:
    return bad_request(f"the body is nested more than {_DEEPEST} levels deep", code="invalid_json")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in level:
            inner = each.values() if isinstance(each, dict) else each
            below += [part for part in inner if isinstance(part, (dict, list))]
        if not below:
            return
        level = below
    raise _too_deep()


def _repaired(value: Any) -> Any:
    """The same with surrogate pairs joined, and lone halves replaced."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_repaired(key): _repaired(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_repaired(part) for part in value]
    return value
