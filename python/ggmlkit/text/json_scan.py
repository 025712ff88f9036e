"""Finds the end of a JSON value in text that comes in pieces, and the first wrong character."""

from __future__ import annotations

from enum import Enum
from typing import Final

_DEEPEST: Final = 100  # levels; json.loads fails at about 1000
_SPACE: Final = " \t\n\r"
_WORD: Final = frozenset("+-.0123456789abcdefghijklmnopqrstuvwxyzE")  # of numbers and literals


class _Next(Enum):
    """What must come next."""

    VALUE = "a value"
    VALUE_OR_END = "a value or the end of the list"
    KEY = "a key"
    KEY_OR_END = "a key or the end of the object"
    COLON = "a colon"
    COMMA_OR_END = "a comma or an end"
    WORD = "more of a number or literal"
    STRING = "more of a text"
    ESCAPED = "the character after a backslash"


class JsonScanner:
    """Follows a JSON object or list to its end.

    It checks how brackets, keys and texts follow each other, so that wrong text is known at once;
    numbers, literals and escapes are left to ``json.loads``.

    Attributes:
        is_whole: the value has ended.
        is_wrong: the text is not JSON, or nested too deeply.
    """

    def __init__(self) -> None:
        self.is_whole = self.is_wrong = False
        self._next = _Next.VALUE
        self._ends: list[str] = []  # of the objects and lists that are open
        self._is_key = False

    def push(self, text: str, start: int = 0) -> int:
        """Follow more text from a place on; the place after the last character that fits."""
        for place in range(start, len(text)):
            if self.is_whole or not self._takes(text[place]):
                self.is_wrong = not self.is_whole
                return place
        return len(text)

    def _takes(self, letter: str) -> bool:
        """Whether a character fits; if so, it is followed."""
        if self._next is _Next.STRING:
            return self._takes_in_string(letter)
        if self._next is _Next.ESCAPED:
            self._next = _Next.STRING
            return True
        if self._next is _Next.WORD:
            if letter in _WORD:
                return True
            self._next = _Next.COMMA_OR_END
        if letter in _SPACE:
            return bool(self._ends)
        if self._next is _Next.COMMA_OR_END:
            return self._takes_after_value(letter)
        if self._next is _Next.COLON:
            self._next = _Next.VALUE
            return letter == ":"
        if self._next in (_Next.VALUE_OR_END, _Next.KEY_OR_END) and letter == self._ends[-1]:
            return self._ended()
        if self._next in (_Next.KEY, _Next.KEY_OR_END):
            self._next, self._is_key = _Next.STRING, True
            return letter == '"'
        return self._takes_value(letter)

    def _takes_in_string(self, letter: str) -> bool:
        if letter == "\\":
            self._next = _Next.ESCAPED
        elif letter == '"':
            self._next = _Next.COLON if self._is_key else _Next.COMMA_OR_END
        return True

    def _takes_after_value(self, letter: str) -> bool:
        if letter == self._ends[-1]:
            return self._ended()
        self._next = _Next.KEY if self._ends[-1] == "}" else _Next.VALUE
        return letter == ","

    def _takes_value(self, letter: str) -> bool:
        if letter in "{[":
            self._next = _Next.KEY_OR_END if letter == "{" else _Next.VALUE_OR_END
            self._ends.append("}" if letter == "{" else "]")
            return len(self._ends) <= _DEEPEST
        if not self._ends:
            return False
        self._next, self._is_key = (_Next.STRING if letter == '"' else _Next.WORD), False
        return letter == '"' or letter in _WORD

    def _ended(self) -> bool:
        self._ends.pop()
        self._next = _Next.COMMA_OR_END
        self.is_whole = not self._ends
        return True
