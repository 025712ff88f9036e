"""Messages and the part of them that fits the context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chat_model import dictated
from ggmlkit.cli.chat.conversation import Conversation
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama
from ggmlkit.errors import ModelError

SETTINGS: dict[str, Any] = {"max_tokens": None, "seed": 5}


class Model:
    """The tiny model, whose answers are dictated; a byte is a token, roles have about ten."""

    def __init__(self, path: Path, context: int) -> None:
        self.llama = Llama(path, context=context, threads=1)
        self.llama.generate_tokens = self._generate  # type: ignore[method-assign]
        self.prompts: list[str] = []
        self.seeds: list[int | None] = []
        self.rest = b""
        self.notes: list[str] = []

    def conversation(self, system: str | None = None, **settings: Any) -> Conversation:
        return Conversation(self.llama, SETTINGS | settings, system, self.notes.append)

    def says(self, conversation: Conversation, text: str, answer: str) -> str:
        self.rest = answer.encode()
        said = "".join(piece.text for piece in conversation.answer(text))
        conversation.tell_notes()
        return said

    def _generate(self, prompt: list[int], **settings: Any) -> Iterator[Token]:
        most = settings["max_tokens"]
        assert len(prompt) + most <= self.llama.context
        assert not settings["stop"]
        self.prompts.append(self.llama.detokenize(prompt))
        self.seeds.append(settings["seed"])
        for token in dictated(self.llama, self.rest, most):
            self.rest = self.rest[1:]
            yield token


def test_the_model_sees_the_conversation(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 400)
    talk = model.conversation("be brief")
    assert (talk.used(), talk.asked) == (0, None)
    assert model.says(talk, "hi", "hello") == "hello"
    assert model.says(talk, "bye", "so long") == "so long"
    assert model.prompts[1].strip() == (
        "system: be brief\nuser: hi\nassistant: hello\nuser: bye\nassistant:"
    )
    assert [message["content"] for message in talk.messages] == ["hi", "hello", "bye", "so long"]
    assert talk.asked == "bye"
    assert 40 < talk.used() < 80
    talk.reset()
    assert (talk.messages, talk.used(), talk.system) == ([], 0, "be brief")
    assert model.notes == []


def test_the_oldest_turns_are_dropped_and_said(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 120)
    talk = model.conversation("S")
    for number in range(6):
        model.says(talk, f"question {number}", f"answer {number}")
    assert model.notes
    assert "the model no longer sees the oldest 2 messages" in model.notes[0]
    last = model.prompts[-1]
    assert last.strip().startswith("system: S\nuser: question")
    assert "question 0" not in last
    assert "answer 4\nuser: question 5\nassistant:" in last
    assert len(talk.messages) == 12  # all are kept
    assert talk.used() <= 120


def test_an_answer_goes_on_where_the_context_was_full(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 120)
    talk = model.conversation()
    model.says(talk, "a" * 20, "b" * 20)
    long = "word " * 15
    assert model.says(talk, "tell", long) == long
    assert len(model.prompts) > 2
    assert "aaa" in model.prompts[1]
    assert "aaa" not in model.prompts[-1]
    assert model.prompts[-1].strip().startswith("user: tell\nassistant: word word")
    assert model.notes == ["the context is full: the model no longer sees the oldest 2 messages"]
    assert talk.messages[-1]["content"] == long


@pytest.mark.parametrize("room", range(6))
def test_characters_and_stop_strings_reach_over_the_border(chat_gguf: Path, room: int) -> None:
    """Where the context is full within one: whatever the answer's place of it."""
    model = Model(chat_gguf, 120 + room)
    talk = model.conversation()
    model.says(talk, "a" * 20, "b" * 20)
    long = "wörd € " * 9
    assert model.says(talk, "tell", long) == long
    assert len(model.prompts) > 2
    ending = model.conversation(stop=["STOP"])
    model.says(ending, "a" * 20, "b" * 20)
    assert model.says(ending, "tell", "x" * (30 + room) + "y" * 20 + "STOP more") == (
        "x" * (30 + room) + "y" * 20
    )


def test_an_answer_longer_than_the_context_says_so(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 80)
    talk = model.conversation()
    answer = model.says(talk, "tell", "x" * 200)
    assert 30 < len(answer) < 80
    assert model.notes == ["the context of 80 tokens is full; -c sets a longer one"]
    model.rest = b"x" * 200
    assert sum(len(piece.text) for piece in talk.answer("tell again")) > 30
    assert len(model.notes) == 1 + 1  # that turns were dropped, before the answer
    talk.tell_notes()
    assert model.notes[2:] == model.notes[:1]  # behind its line, once
    talk.tell_notes()
    assert len(model.notes) == 3
    assert model.says(talk, "and now", "yes") == "yes"


def test_a_limit_counts_over_the_whole_answer(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 120)
    talk = model.conversation(max_tokens=60)
    model.says(talk, "a" * 20, "b" * 20)
    assert model.says(talk, "tell", "y" * 200) == "y" * 60
    assert len(model.prompts) == 3  # it was gone on with once
    assert model.says(talk, "more", "z" * 200) == "z" * 60


def test_a_message_that_does_not_fit_is_taken_back(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 80)
    talk = model.conversation()
    model.says(talk, "hi", "hello")
    before = list(talk.messages)
    with pytest.raises(ModelError, match=r"does not fit the context of 80; -c sets a longer one"):
        model.says(talk, "q" * 100, "never")
    assert talk.messages == before
    assert talk.asked == "q" * 100
    assert model.notes == []
    model.says(talk, "and", "now")
    assert model.prompts[-1].strip().startswith("user: hi\nassistant: hello\nuser: and")


def test_an_answer_that_is_ended_early_is_kept(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 200)
    talk = model.conversation()
    model.rest = b"a long answer"
    with closing(talk.answer("hi")) as pieces:
        assert next(pieces).text + next(pieces).text == "a "
    assert [message["content"] for message in talk.messages] == ["hi", "a "]
    with closing(talk.answer("nothing came")):
        pass
    assert len(talk.messages) == 2


def test_retrying_draws_another_answer(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 200)
    talk = model.conversation()
    assert talk.take_back() is None
    model.says(talk, "one", "1")
    model.says(talk, "two", "2")
    assert talk.take_back() == "two"
    assert len(talk.messages) == 2
    assert talk.take_back() == "two"  # it is not answered yet
    assert len(talk.messages) == 2
    model.says(talk, "two", "3")
    assert [message["content"] for message in talk.messages] == ["one", "1", "two", "3"]
    assert len(set(model.seeds)) > 1
    assert model.prompts[-1] == model.prompts[-2]


def test_undoing_forgets_the_last_turn(chat_gguf: Path) -> None:
    model = Model(chat_gguf, 200)
    talk = model.conversation("S")
    assert talk.undo() is None
    model.says(talk, "one", "1")
    model.says(talk, "two", "2")
    assert talk.undo() == "two"
    assert (talk.asked, talk.system) == ("one", "S")
    model.says(talk, "three", "3")
    assert [message["content"] for message in talk.messages] == ["one", "1", "three", "3"]
    assert "two" not in model.prompts[-1]
    assert [talk.undo(), talk.undo(), talk.undo()] == ["three", "one", None]
    model.says(talk, "new", "4")
    assert model.prompts[-1].strip() == "system: S\nuser: new\nassistant:"


def test_a_model_without_a_template_cannot_converse() -> None:
    from paths import GOLDEN

    llama = Llama(GOLDEN / "gguf-v1-f16.bin", context=16, threads=1)
    with pytest.raises(ModelError, match="has no chat template"):
        Conversation(llama, SETTINGS, None, print)
