"""The messages of a conversation, and what of them the model sees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ggmlkit.cli.decoder import too_long
from ggmlkit.engine.completion import StopStrings
from ggmlkit.engine.sampling_checks import strings
from ggmlkit.errors import ModelError
from ggmlkit.text.chat import render
from ggmlkit.text.marked_text import marked_stream
from ggmlkit.text.reasoning import ReasoningSplitter, Split, is_thinking, reasoning_tags

if TYPE_CHECKING:
    from ggmlkit.engine.llama import Llama

Message = dict[str, str]


class Piece(NamedTuple):
    """A piece of an answer.

    Attributes:
        text: as the model writes it.
        parts: what of it is thought, and what is said; some may come with the next piece.
    """

    text: str
    parts: Split


# Of the context, what an answer should find free before older turns are dropped for it.
_FREE_SHARE = 4
_LAST_TOKENS = 16  # of a prompt, which hold the mark of begun thoughts


class Conversation:
    """A conversation that may be longer than the context: the model sees the newest turns.

    Args:
        llama: who answers.
        settings: of ``Llama.generate``.
        system: the system prompt, or None.
        note: told what the user should know, such as that turns were dropped.
        template: the chat template; None for the file's own.
        variables: more variables for the template.
        shows_thoughts: see below.

    Attributes:
        system: the system prompt, or None. The model always sees it.
        messages: all of them, without the system prompt; dropped ones too.
        asked: the last message of the user, answered or not; None before any.
        shows_thoughts: the user sees what the model thinks.

    Raises:
        ModelError: there is no chat template.
    """

    def __init__(
        self,
        llama: Llama,
        settings: dict[str, Any],
        system: str | None,
        note: Callable[[str], None],
        template: str | None = None,
        variables: Mapping[str, Any] = MappingProxyType({}),
        *,
        shows_thoughts: bool = False,
    ) -> None:
        template = llama.tokenizer.chat_template if template is None else template
        if template is None:
            raise ModelError(
                "the model has no chat template, so it can't converse; name one with "
                "--chat-template, or continue a text with 'ggmlkit run'"
            )
        self._llama, self._settings, self._note = llama, settings, note
        self._template, self._variables = template, variables
        self._tags = reasoning_tags(template)
        self._splitter: ReasoningSplitter | None = None
        self.shows_thoughts = shows_thoughts
        self._retries = 0
        self._late: list[str] = []
        self.system = system
        self.reset()

    def reset(self) -> None:
        """Forget all messages."""
        self.resume(self.system, [])

    def resume(self, system: str | None, messages: list[Message]) -> None:
        """Go on with other messages."""
        self.system, self.messages = system, messages
        self._first = 0  # of the messages that the model sees
        questions = [each["content"] for each in messages if each["role"] == "user"]
        self.asked = questions[-1] if questions else None
        self._is_answered = bool(questions)

    @property
    def context(self) -> int:
        """The context length in tokens."""
        return self._llama.context

    def used(self) -> int:
        """Tokens of what the model sees of the conversation."""
        if not self.messages:
            return 0
        try:
            return len(self._encoded(self._first, is_asked=False))
        except ModelError:  # a template that refuses these messages says so when they are answered
            return 0

    @property
    def has_thoughts(self) -> bool:
        """Whether the chat template is one of a model that thinks before it answers."""
        return self._tags is not None

    def answer(self, text: str) -> Generator[Piece, None, None]:
        """Send a message; yields the pieces of the answer.

        A message without an answer, because of an error or of an end before the first piece, is
        taken back; ``asked`` keeps it. Of an answer that is ended early, what came is kept. The
        messages have the thoughts too: what the model sees of them is the template's rule.

        Raises:
            ModelError: the message alone doesn't fit the context, or the template refuses it.
        """
        self.asked, self._is_answered = text, False
        self.messages.append({"role": "user", "content": text})
        written, is_done = "", False
        self._splitter = None
        try:
            for piece in self._pieces():
                written += piece
                yield Piece(piece, self._split(piece))
            is_done = True
            yield Piece("", self._split(None))
        finally:
            if written or is_done:
                written += self._missing_end()
                self.messages.append({"role": "assistant", "content": written})
                self._is_answered = True
            else:
                self.messages.pop()

    def _split(self, piece: str | None) -> Split:
        """The parts that a piece of an answer makes certain; None is its end."""
        if self._splitter is None:
            return Split("", piece or "")
        return self._splitter.flush() if piece is None else self._splitter.push(piece)

    def _missing_end(self) -> str:
        """The mark that thoughts lack which were cut, so that the template can tell them."""
        is_cut = self._splitter is not None and self._splitter.is_thinking
        return self._tags.end if is_cut and self._tags is not None else ""

    def take_back(self) -> str | None:
        """Remove the last message of the user and its answer; the message, None if there is none.

        The next answer is drawn with another seed.
        """
        if self.asked is None:
            return None
        if self._is_answered:
            del self.messages[-2:]
            self._first = min(self._first, len(self.messages))
            self._is_answered = False
        self._retries += 1
        return self.asked

    def undo(self) -> str | None:
        """Forget the last message that was answered, and its answer; the message, None if none."""
        if not self.messages:
            return None
        text, first = self.messages[-2]["content"], self._first
        self.resume(self.system, self.messages[:-2])
        self._first = min(first, len(self.messages))
        return text

    def tell_notes(self) -> None:
        """Tell what could not be told within an answer's line."""
        notes, self._late = self._late, []
        for each in notes:
            self._note(each)

    def _tell(self, said: str, *, is_begun: bool) -> None:
        """Tell it at once, or after the answer where that has begun."""
        if is_begun:
            self._late.append(said)
        else:
            self._note(said)

    def _pieces(self) -> Iterator[str]:
        """The answer to the last message, gone on with where the context was full."""
        left = self._settings["max_tokens"]
        ids: list[int] = []
        text = marked_stream(self._llama.tokenizer, self._tags or ())
        until = StopStrings(strings(self._settings.get("stop", ()), "stop"))
        is_bound = self._is_bound()
        while True:
            prompt = self._prompt(ids, left)
            if not ids:
                self._begin_parts(prompt)
            room = self.context - len(prompt)
            if room < 1:
                if not ids:
                    raise too_long(self._llama, "the message", len(prompt))
                self._tell_full()
                break
            most = room if left is None else min(left, room)
            reason = None
            for token in self._llama.generate_tokens(prompt, **self._drawn(most)):
                reason = token.finish_reason
                if reason == "stop" and token.id in self._llama.tokenizer.eog_ids:
                    break
                ids.append(token.id)
                if piece := until.push(text.push(token.id)):
                    yield piece
                if until.is_found():
                    return
            if reason == "stop" or most == left:
                break
            if is_bound:  # what goes on would begin its form anew
                self._tell_full()
                break
            left = None if left is None else left - most
        if rest := until.push(text.flush()) + until.rest():
            yield rest

    def _is_bound(self) -> bool:
        """Whether the answer is kept to a form, in which there are no thoughts."""
        return any(self._settings.get(name) is not None for name in ("grammar", "json_schema"))

    def _begin_parts(self, prompt: Sequence[int]) -> None:
        """Tell thoughts from the rest of an answer to a prompt."""
        if self._tags is not None and not self._is_bound():
            end = self._llama.tokenizer.decode(prompt[-_LAST_TOKENS:], special=True)
            thinking = is_thinking(end, self._tags)
            self._splitter = ReasoningSplitter(thinking=thinking, tags=self._tags)

    def _tell_full(self) -> None:
        said = f"the context of {self.context} tokens is full; -c sets a longer one"
        self._tell(said, is_begun=True)

    def _drawn(self, most: int) -> dict[str, Any]:
        """The settings for at most so many tokens; a seed that is given changes with a retry."""
        seed = self._settings["seed"]
        return self._settings | {
            "max_tokens": most,
            "stop": (),  # looked for in the whole answer
            "seed": None if seed is None else (seed + self._retries) % 2**64,
        }

    def _prompt(self, written: list[int], left: int | None) -> list[int]:
        """The tokens before the rest of an answer. Drops turns until there is room, if that helps.

        Args:
            written: the tokens that the answer begins with.
            left: the most tokens that may follow, None for any number.
        """
        free = max(1, self.context // _FREE_SHARE)
        if left is not None:
            free = max(1, min(free, left))
        prompt = self._encoded(self._first, written)
        if self.context - len(prompt) >= free:
            return prompt
        turns = [
            place
            for place, message in enumerate(self.messages)
            if place > self._first and message["role"] == "user"
        ]
        if not turns:
            return prompt

        def has_room(place: int) -> bool:
            return self.context - len(self._encoded(place, written)) >= free

        first = turns[min(bisect_left(turns, True, key=has_room), len(turns) - 1)]
        prompt = self._encoded(first, written)
        if not written and len(prompt) >= self.context:
            return prompt  # no answer has room, so nothing is dropped for it
        dropped, self._first = first - self._first, first
        said = f"the context is full: the model no longer sees the oldest {dropped} messages"
        self._tell(said, is_begun=bool(written))
        return prompt

    def _encoded(
        self, first: int, written: Sequence[int] = (), *, is_asked: bool = True
    ) -> list[int]:
        """The tokens of the messages from the ``first`` on, and of the answer so far."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        text = render(
            self._template,
            [*system, *self.messages[first:]],
            self._llama.tokenizer,
            add_generation_prompt=is_asked,
            **self._variables,
        )
        # Templates write all special tokens, including the first one if the model needs it.
        ids = self._llama.tokenize(text, add_special=False, parse_special=True)
        return [*ids, *written]
