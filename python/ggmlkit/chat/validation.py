"""Checks bodies of requests against their pydantic models; faults become errors of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, FailFast, ValidationError

from ggmlkit.chat.errors import RequestError, bad_request

Body = TypeVar("Body", bound=BaseModel)
Each = TypeVar("Each")


class _FirstFault(FailFast):
    """FailFast for cases of unions, which must have a hash."""

    def __hash__(self) -> int:
        return hash(type(self))


# A list that may be long: of a million faults the first alone is written down.
Many = Annotated[list[Each], _FirstFault()]
_LONGEST: Final = 200
_MOST_FIELDS: Final = 64  # of a body that are looked at
_LONGEST_NAME: Final = 40
_LIKE: Final = 0.88  # of two names, where 1 is the same
_CASES: Final = ("str", "int", "float", "bool")  # of unions; others are names of classes


def validated(model: type[Body], body: dict[str, Any]) -> Body:
    """The body as a model of pydantic.

    Raises:
        RequestError: a field is missing, of a wrong type or out of range; it names the field.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _refused(error) from None
    except RecursionError:
        raise bad_request("the body is nested too deeply") from None


def misspelt(model: type[BaseModel], body: Mapping[str, Any]) -> dict[str, str]:
    """Fields that are ignored, but look like known ones, each with the field that was meant.

    A few of them: a body may have any number.
    """
    fields = model.model_fields
    known = {*fields, *(field.alias for field in fields.values() if field.alias is not None)}
    found: dict[str, str] = {}
    for name in islice(body, _MOST_FIELDS):
        if name in known or len(name) > _LONGEST_NAME:
            continue
        if like := get_close_matches(name, known - body.keys(), n=1, cutoff=_LIKE):
            found[name] = like[0]
    return found


def _refused(error: ValidationError) -> RequestError:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    fault = max(faults, key=lambda each: len(each["loc"]))  # of a union, the one that went furthest
    first = faults[0]
    if first["loc"][:1] != fault["loc"][:1]:
        fault = first
    place = field_name(fault["loc"])
    kind = "missing_required_parameter" if fault["type"] == "missing" else "invalid_value"
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "too_short":
        said = "must not be empty"
    message = f"{place or 'the body'}: {said[:1].lower()}{said[1:]}"
    return bad_request(message[:_LONGEST], place or None, kind)


def field_name(place: Sequence[int | str]) -> str:
    """A place in a body, such as ``messages[0].role``, without the names of a union's cases."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and part not in _CASES and not part[0].isupper():
            text += f".{part}" if text else part
    return text[:_LONGEST]
