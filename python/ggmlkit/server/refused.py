"""Parts of bodies of kinds that a server of texts has no place for."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from ggmlkit.chat.shapes import Shape


class RefusedKind(Shape):
    """A part whose type has no place here; it is always refused.

    Attributes:
        noun: what the API calls such parts, with its article.
        instead: what is taken, for a sentence.
    """

    noun: ClassVar[str]
    instead: ClassVar[str]
    type: str

    @model_validator(mode="before")
    @classmethod
    def _is_object(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{cls.noun} must be an object")
        return value

    @field_validator("type")
    @classmethod
    def _refused(cls, value: str) -> str:
        plural = f"{cls.noun.split()[-1]}s"
        raise ValueError(f"{plural} of type {value[:40]!r} have no place here: {cls.instead}")
