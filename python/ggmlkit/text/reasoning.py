"""Splits a model's thoughts, ``<think>…</think>``, off its answer while it is written."""

from __future__ import annotations

from typing import Final, NamedTuple

from ggmlkit.text.marks import first_mark, held_back


class Tags(NamedTuple):
    """The marks around thoughts."""

    start: str
    end: str


THINK: Final = Tags("<think>", "</think>")
_KNOWN = (THINK, Tags("[THINK]", "[/THINK]"), Tags("<thinking>", "</thinking>"))


def reasoning_tags(template: str) -> Tags | None:
    """The marks that a chat template has around thoughts; None if it has none."""
    return next((tags for tags in _KNOWN if tags.end in template), None)


def is_thinking(prompt: str, tags: Tags = THINK) -> bool:
    """Whether a prompt ends by beginning thoughts, so that the answer goes on with them."""
    return prompt.rstrip().endswith(tags.start)


class Split(NamedTuple):
    """Parts of an answer, of which either may be empty."""

    reasoning: str
    content: str


class ReasoningSplitter:
    """Splits the pieces of an answer into thoughts and content.

    Thoughts stand at the beginning of an answer, where only white space may be before them; tags in
    what follows are content. Only the tags are taken away. Thoughts without an end go on to the end
    of the answer. However an answer is cut into pieces, the parts together are the same.

    Args:
        thinking: the prompt ends within thoughts (:func:`is_thinking`), so the answer begins there.
        tags: the marks around thoughts.
    """

    def __init__(self, *, thinking: bool = False, tags: Tags = THINK) -> None:
        self._tags = tags
        self._is_thinking = thinking
        self._is_begun = False  # something other than white space, or a tag, has come
        self._is_done = False  # thoughts can no longer begin or end
        self._held = ""

    @property
    def is_thinking(self) -> bool:
        """Whether thoughts have begun, and not ended."""
        return self._is_thinking

    def push(self, piece: str) -> Split:
        """The parts that are certain with the next piece; what may begin a tag is held back."""
        if self._is_done:
            return Split("", piece)
        text = self._held + piece
        self._held = ""
        before = ""
        if not self._is_begun:
            bare = text.lstrip()
            before, text = text[: len(text) - len(bare)], bare
            if not bare or (bare != self._tags.start and self._tags.start.startswith(bare)):
                self._held = bare
                return self._part(before)
            self._is_begun = True
            if bare.startswith(self._tags.start):
                text = bare.removeprefix(self._tags.start)
                first = self._part(before)
                self._is_thinking = True
                return _joined(first, self._until_end(text))
        return _joined(self._part(before), self._until_end(text))

    def flush(self) -> Split:
        """The rest at the end of the answer."""
        rest, self._held = self._held, ""
        return self._part(rest)

    def _until_end(self, text: str) -> Split:
        """The parts of a text that comes after the beginning."""
        if not self._is_thinking:
            self._is_done = True
            return Split("", text)
        found = first_mark(text, [self._tags.end])
        if found is not None:
            self._is_thinking, self._is_done = False, True
            return Split(text[: found[0]], text[found[0] + len(self._tags.end) :])
        held = held_back(text, [self._tags.end])
        self._held = text[len(text) - held :]
        return Split(text[: len(text) - held], "")

    def _part(self, text: str) -> Split:
        return Split(text, "") if self._is_thinking else Split("", text)


def split_reasoning(text: str, *, thinking: bool = False, tags: Tags = THINK) -> Split:
    """Thoughts and content of a whole answer; arguments as of :class:`ReasoningSplitter`."""
    splitter = ReasoningSplitter(thinking=thinking, tags=tags)
    return _joined(splitter.push(text), splitter.flush())


def _joined(one: Split, two: Split) -> Split:
    return Split(one.reasoning + two.reasoning, one.content + two.content)
