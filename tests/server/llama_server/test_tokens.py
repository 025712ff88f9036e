"""Tokens of texts and texts of tokens, and conversations as the model takes them."""

from __future__ import annotations

from typing import Any

import pytest

from chat_model import TEMPLATE
from running_server import RunningServer


def ids(server: RunningServer, content: Any, **fields: Any) -> Any:
    return server.post("/tokenize", {"content": content, **fields}).json()["tokens"]


def test_a_text_is_tokenized(server: RunningServer) -> None:
    tokenizer = server.served.tokenizer
    text = "The number</s>"
    assert ids(server, text) == tokenizer.encode(text, False, True)
    assert ids(server, text, add_special=True) == tokenizer.encode(text, True, True)
    assert ids(server, text, parse_special=False) == tokenizer.encode(text, False, False)
    assert ids(server, "") == []
    assert server.post("/tokenize", {}).json() == {"tokens": []}


def test_mixed_texts_and_tokens(server: RunningServer) -> None:
    encode = server.served.tokenizer.encode
    assert ids(server, ["The", 5, "b"], add_special=True) == [
        *encode("The"), 5, *encode("b", add_special=False),
    ]  # fmt: skip
    assert ids(server, [5, "b"], add_special=True) == [5, *encode("b", add_special=False)]


def test_pieces_are_texts_or_bytes(server: RunningServer) -> None:
    found = ids(server, "The á</s>", with_pieces=True)
    data = b"".join(
        piece.encode() if isinstance(piece := each["piece"], str) else bytes(piece)
        for each in found
    )
    assert data.decode() == " The á</s>"
    assert any(isinstance(each["piece"], list) for each in found)
    assert [each["id"] for each in found] == ids(server, "The á</s>")


def test_tokens_become_text(server: RunningServer) -> None:
    tokens = ids(server, "The á</s>", add_special=True)
    assert server.post("/detokenize", {"tokens": tokens}).json() == {"content": "<s> The á</s>"}
    assert server.post("/detokenize", {}).json() == {"content": ""}
    half = [each["id"] for each in ids(server, "á", with_pieces=True)][:-1]
    assert server.post("/detokenize", {"tokens": half}).json()["content"].endswith("\ufffd")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"content": 5}),
        ("/tokenize", {"content": [-1]}),
        ("/tokenize", {"content": "a", "with_pieces": 1}),
        ("/tokenize", {"content": [2**31 - 1], "with_pieces": True}),
        ("/detokenize", {"tokens": "a"}),
        ("/detokenize", {"tokens": [384]}),
        ("/detokenize", {"tokens": [-1]}),
        ("/detokenize", {"tokens": [1.5]}),
        ("/apply-template", {}),
        ("/apply-template", {"messages": [{"role": 1}]}),
    ],
)
def test_what_is_refused(server: RunningServer, path: str, body: Any) -> None:
    found = server.post(path, body)
    assert found.status_code == 400
    error = found.json()["error"]
    assert (error["code"], error["type"]) == (400, "invalid_request_error")


def test_a_conversation_as_the_model_takes_it(server: RunningServer) -> None:
    messages = [{"role": "user", "content": "hi"}]
    found = server.post("/apply-template", {"messages": messages}).json()
    assert found == {"prompt": "user: hi\nassistant: "}
    assert "add_generation_prompt" in TEMPLATE


def test_tokens_are_told_while_the_queue_is_full(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = server.serving.admission
    monkeypatch.setattr(admission, "_parallel", 0)
    monkeypatch.setattr(admission, "_waiting", 0)
    assert server.chat().status_code == 400
    assert ids(server, "a")
    monkeypatch.setattr(admission, "is_draining", True)
    found = server.post("/tokenize", {"content": "a"})
    assert found.status_code == 503
    assert found.json()["error"]["type"] == "unavailable_error"
