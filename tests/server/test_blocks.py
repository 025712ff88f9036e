"""Answers as blocks."""

from __future__ import annotations

from typing import Any

from ggmlkit.engine.completion import Token
from ggmlkit.server.blocks import Begun, Blocks, Ended, Grown
from ggmlkit.server.generating import Delta, End
from ggmlkit.text.tool_calls import ToolCall

CALL = ToolCall("weather", {"city": "Rome"})


def delta(content: str = "", thoughts: str = "", *calls: ToolCall, id: int | None = 1) -> Delta:
    return Delta(0, content, thoughts, calls, None if id is None else Token(id, content))


def pushed(*events: Any, reason: Any = "stop", stop: str | None = None) -> tuple[Blocks, list[str]]:
    """The blocks of an answer, and what changed, in words."""
    blocks, said = Blocks(), []
    last = Token(0, "", finish_reason="stop", stop=stop)
    for event in (*events, End(0, reason, last)):
        for change in blocks.push(event):
            word = {Begun: "begun", Grown: "grown", Ended: "ended"}[type(change)]
            more = f" {change.text!r}" if isinstance(change, Grown) else ""
            said.append(f"{word} {change.block.kind} {change.block.place}{more}")
    return blocks, said


def shapes(blocks: Blocks) -> list[tuple[str, object]]:
    assert all(block.is_whole for block in blocks.all)
    assert [block.place for block in blocks.all] == list(range(len(blocks.all)))
    return [(block.kind, block.call or block.text) for block in blocks.all]


def test_thoughts_text_and_calls_are_in_their_order() -> None:
    events = [delta(thoughts="hm"), delta(thoughts="m"), delta("yes"), delta("", "", CALL, CALL)]
    blocks, said = pushed(*events, delta("no"), reason="tool_calls")
    assert shapes(blocks) == [
        ("thoughts", "hmm"),
        ("text", "yes"),
        ("call", CALL),
        ("call", CALL),
        ("text", "no"),
    ]
    assert said == [
        "begun thoughts 0", "grown thoughts 0 'hm'", "grown thoughts 0 'm'", "ended thoughts 0",
        "begun text 1", "grown text 1 'yes'", "ended text 1",
        "begun call 2", "ended call 2", "begun call 3", "ended call 3",
        "begun text 4", "grown text 4 'no'", "ended text 4",
    ]  # fmt: skip
    assert blocks.reason == "tool_calls"
    assert len({block.id for block in blocks.all}) == 5


def test_white_space_alone_is_no_block_beside_others() -> None:
    assert shapes(pushed(delta("\n"), delta(" "), delta("", "", CALL), delta("\n"))[0]) == [
        ("call", CALL)
    ]
    assert shapes(pushed(delta("\n"), delta(" a"), delta(" "))[0]) == [("text", "\n a ")]
    assert shapes(pushed(delta("\n"))[0]) == [("text", "\n")]


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    assert shapes(pushed()[0]) == [("text", "")]
    assert shapes(pushed(delta(thoughts="hm"), reason="length")[0]) == [("thoughts", "hm")]


def test_tokens_are_of_texts_alone() -> None:
    blocks, _ = pushed(
        delta(thoughts="hm", id=1),
        delta("", id=2),  # half a character
        delta("é", id=3),
        delta("", id=4),
        delta("", "", CALL, id=5),
        delta("x", id=6),
        delta("y", id=None),
    )
    assert [[token.id for token in block.tokens] for block in blocks.all] == [[], [2, 3], [], [6]]


def test_the_stop_string_is_told() -> None:
    assert pushed(delta("a"), stop="END")[0].stop == "END"
    assert pushed(delta("a"))[0].stop is None
