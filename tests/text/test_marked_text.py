"""Text of tokens with marks, of which some are control tokens."""

from __future__ import annotations

from ggmlkit.text.marked_text import marked_stream, marked_text, marks_that_are_tokens
from ggmlkit.text.tokenizer import Tokenizer
from paths import GOLDEN

MARKS = ("<s>", "</s>", "<none>")


def test_marks_that_are_control_tokens_are_shown() -> None:
    tokenizer = Tokenizer.from_file(GOLDEN / "gguf-v1-f16.bin")
    begin, end = tokenizer.token_id("<s>"), tokenizer.token_id("</s>")
    assert begin is not None
    assert end is not None
    assert marks_that_are_tokens(tokenizer, MARKS) == {begin: "<s>", end: "</s>"}
    letters = tokenizer.encode("ab", add_special=False)
    ids = [begin, *letters, end, *letters]
    plain = tokenizer.stream()
    text = "".join(map(plain.push, ids))
    shown = "<s>" + text[: len(text) // 2] + "</s>" + text[len(text) // 2 :]
    assert marked_text(text, ids, tokenizer, MARKS) == shown
    assert marked_text(text[:-1], ids, tokenizer, MARKS) == shown[:-1]
    assert marked_text(text, ids, tokenizer, ()) == text
    stream = marked_stream(tokenizer, ["</s>"])
    assert "".join(map(stream.push, ids)) == shown.removeprefix("<s>")
