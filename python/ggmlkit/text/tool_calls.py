"""Finds calls of tools in a model's answer while it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ggmlkit.text.json_scan import JsonScanner
from ggmlkit.text.marks import first_mark, held_back
from ggmlkit.text.tool_forms import form

_LONGEST_HEAD: Final = 256  # characters of a name and what is around it
_MARKS_OF_HEADS: Final = frozenset("_.-[]>")
_PORTION: Final = 1024  # characters that are looked at together, so that few are copied often


class ToolCall(NamedTuple):
    """A call of a tool.

    Attributes:
        name: of the tool.
        arguments: by name.
        id: the model's own id of the call, if it gives one.
    """

    name: str
    arguments: dict[str, Any]
    id: str | None = None


class Found(NamedTuple):
    """Parts of an answer: text beside calls, and calls."""

    content: str
    calls: list[ToolCall]


class ToolCallParser:
    """Splits the pieces of an answer into content and calls.

    A text that may be a call is held back until it is a whole call, or can't become one: then it is
    content. White space after a call belongs to it. However an answer is cut into pieces, content
    and calls together are the same. The time is proportional to the length of the answer.

    Args:
        form_name: how the model writes calls: "hermes", "llama3", "mistral", "phi4", "functionary"
            or "json"; :func:`ggmlkit.text.tool_forms.form_name` tells it of a chat template.

    Raises:
        ArgumentError: there is no such form.
    """

    def __init__(self, form_name: str) -> None:
        self._form = form(form_name)
        self._rest = ""  # not looked at yet
        self._raw: list[str] = []  # of what may be a call
        self._head: list[str] = []
        self._value: list[str] = []
        self._scanner = JsonScanner()
        self._step = self._begin if self._form.is_bare else self._between
        self._found: list[str | ToolCall] = []

    def push(self, piece: str) -> Found:
        """What is certain with the next piece."""
        for start in range(0, len(piece), _PORTION):
            self._rest += piece[start : start + _PORTION]
            while self._step():
                pass
        return self._taken()

    def flush(self) -> Found:
        """The rest at the end of the answer."""
        if self._step == self._after and not self._rest:
            self._raw.clear()  # white space after a call
        self._fail()
        self._found.append(self._rest)
        self._rest = ""
        return self._taken()

    # Each step looks at the rest; it returns whether it came to an end, and another one follows.

    def _begin(self) -> bool:
        """At the beginning of the answer, where a call needs no mark."""
        self._skip_space()
        if not self._rest:
            return False
        if self._rest[0] not in "{[" or self._rest.startswith(self._form.starts):
            self._fail()
        elif any(mark.startswith(self._rest) for mark in self._form.starts):
            return False  # a mark may begin with a bracket
        else:
            self._expect_value()
        return True

    def _between(self) -> bool:
        """In content, before the next mark."""
        found = first_mark(self._rest, self._form.starts)
        if found is None:
            held = held_back(self._rest, self._form.starts)
            self._found.append(self._rest[: len(self._rest) - held])
            self._rest = self._rest[len(self._rest) - held :]
            return False
        self._found.append(self._rest[: found[0]])
        self._rest = self._rest[found[0] :]
        self._take(len(found[1]))
        self._step = self._marked
        return True

    def _marked(self) -> bool:
        """After a mark: a value, or a name before it."""
        self._skip_space()
        if not self._rest:
            return False
        if self._rest[0] in "{[":
            self._expect_value()
        elif self._form.head is not None:
            self._step = self._in_head
        else:
            self._fail()
        return True

    def _in_head(self) -> bool:
        """In a name and what follows it."""
        before = "".join(self._head)
        for place, letter in enumerate(self._rest):
            head = (before + self._rest[:place]).rstrip() if letter in " \t\r\n{" else ""
            if letter == "{" and self._named(head) is not None:
                self._head.append(self._take(place))
                self._expect_value()
                return True
            fits = letter.isalnum() or letter in _MARKS_OF_HEADS or self._named(head) is not None
            if letter == "{" or not fits or len(before) + place >= _LONGEST_HEAD:
                self._take(place)
                self._fail()
                return True
        self._head.append(self._take(len(self._rest)))
        return False

    def _in_value(self) -> bool:
        """In JSON."""
        self._value.append(self._take(self._scanner.push(self._rest)))
        if self._scanner.is_whole:
            calls = list(self._calls("".join(self._value)))
            if calls:
                self._found += calls
                self._forget()
                self._step = self._after
            else:
                self._fail()
            return True
        if self._scanner.is_wrong:
            self._fail()
            return True
        return False

    def _after(self) -> bool:
        """After a call: an end mark, another call, or content."""
        self._skip_space()
        if not self._rest:
            return False
        for mark in self._form.ends:
            if self._rest.startswith(mark):
                self._rest = self._rest[len(mark) :]
                self._raw.clear()
                return True
        marks = (*self._form.ends, *self._form.starts)
        if held_back(self._rest, marks) == len(self._rest):
            return False
        if self._form.is_bare and self._rest[0] == "{":
            self._expect_value()
        else:
            self._after_call()
        return True

    def _after_call(self) -> None:
        """White space before another mark belongs to the call, before content it is content."""
        if self._rest.startswith(self._form.starts):
            self._raw.clear()
        self._fail()

    def _expect_value(self) -> None:
        self._scanner = JsonScanner()
        self._step = self._in_value

    def _skip_space(self) -> None:
        self._take(len(self._rest) - len(self._rest.lstrip()))

    def _take(self, length: int) -> str:
        """Move text from the rest to what may be a call."""
        text, self._rest = self._rest[:length], self._rest[length:]
        self._raw.append(text)
        return text

    def _fail(self) -> None:
        """What was held back is content; what follows may be a call again."""
        self._found += self._raw
        self._forget()
        self._step = self._between

    def _forget(self) -> None:
        for parts in (self._raw, self._head, self._value):
            parts.clear()

    def _taken(self) -> Found:
        content = "".join(part for part in self._found if isinstance(part, str))
        calls = [part for part in self._found if isinstance(part, ToolCall)]
        self._found.clear()
        return Found(content, calls)

    def _named(self, head: str) -> tuple[str, str | None] | None:
        """Name and id of a head; None if it is not one."""
        found = None if self._form.head is None else self._form.head.fullmatch(head)
        return None if found is None else (found["name"], found.groupdict().get("id"))

    def _calls(self, text: str) -> Iterator[ToolCall]:
        """The calls that a JSON value says; none if a part of it is not a call."""
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):  # a number that is none, or is too long
            return
        head = "".join(self._head).strip()
        if head:
            named = self._named(head)
            if named is not None and isinstance(value, dict):
                yield ToolCall(named[0], value, named[1])
            return
        calls = [_call(each) for each in (value if isinstance(value, list) else [value])]
        if None not in calls:
            yield from (call for call in calls if call is not None)


def parse_tool_calls(text: str, form_name: str) -> Found:
    """Content and calls of a whole answer; arguments as of :class:`ToolCallParser`."""
    parser = ToolCallParser(form_name)
    first, last = parser.push(text), parser.flush()
    return Found(first.content + last.content, first.calls + last.calls)


def _call(value: object) -> ToolCall | None:
    """The call that an object of name and arguments says; None if it says none."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    said = inner if isinstance(inner, dict) else value
    name, own = said.get("name"), value.get("id")
    arguments = said.get("arguments", said.get("parameters"))
    if isinstance(arguments, str):  # JSON within JSON
        try:
            arguments = json.loads(arguments, strict=False)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments, own if isinstance(own, str) else None)
