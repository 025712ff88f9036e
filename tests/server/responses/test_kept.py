"""Responses that are kept: whose they are, and for how long."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.server.settings import StoreSettings
from ggmlkit.server.store.in_memory import MemoryStore
from running_server import RunningServer, dictate, named_events, running, settings_for

PATH = "/v1/responses"


def made(server: RunningServer, key: str = "one", **fields: Any) -> dict[str, Any]:
    body = {"input": "hi", "max_output_tokens": 2, "temperature": 0, **fields}
    response = server.post(PATH, body, headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_nobody_else_reads_them(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, keys=("one", "two"))) as server:
        id = made(server)["id"]
        other = {"Authorization": "Bearer two"}
        for method, path in (
            ("GET", f"{PATH}/{id}"),
            ("GET", f"{PATH}/{id}/input_items"),
            ("DELETE", f"{PATH}/{id}"),
        ):
            assert server.client.request(method, path).status_code == 401
            refused = server.client.request(method, path, headers=other)
            missing = server.client.request(method, path.replace(id, "resp_x"), headers=other)
            assert refused.status_code == missing.status_code == 404
            assert refused.text.replace(id, "resp_x") == missing.text
        body = {"input": "hi", "previous_response_id": id}
        assert server.post(PATH, body, headers=other).status_code == 400
        own = server.client.get(f"{PATH}/{id}", headers={"x-api-key": "one"})
        assert own.json()["id"] == id


def test_input_items_are_listed_in_pages(server: RunningServer) -> None:
    items = [{"role": "user", "content": str(n), "id": f"msg_{n}"} for n in range(5)]
    id = made(server, input=items)["id"]

    def listed(query: str) -> tuple[list[str], bool]:
        response = server.client.get(
            f"{PATH}/{id}/input_items?{query}", headers={"x-api-key": "one"}
        )
        assert response.status_code == 200
        page = response.json()
        ids = [item["id"] for item in page["data"]]
        assert [page["first_id"], page["last_id"]] == ([ids[0], ids[-1]] if ids else [None, None])
        return ids, page["has_more"]

    assert listed("") == ([f"msg_{n}" for n in (4, 3, 2, 1, 0)], False)
    assert listed("order=asc&limit=2") == (["msg_0", "msg_1"], True)
    assert listed("order=asc&limit=2&after=msg_1") == (["msg_2", "msg_3"], True)
    assert listed("after=msg_0") == ([], False)
    for query, param in (
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=other", "after"),
    ):
        refused = server.client.get(
            f"{PATH}/{id}/input_items?{query}", headers={"x-api-key": "one"}
        )
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == param


def test_a_conversation_without_its_beginning_is_refused(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, store=StoreSettings(count=2))) as server:
        last = None
        ids = []
        for _ in range(3):
            last = made(server, previous_response_id=last)["id"]
            ids.append(last)
        for number, said in ((0, "there is no response"), (2, "no longer kept")):
            body = {"input": "hi", "previous_response_id": ids[number]}
            refused = server.post(PATH, body, headers={"x-api-key": "one"})
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert said in error["message"]
            assert error["code"] == "previous_response_not_found"


def test_a_conversation_before_that_is_too_long_is_refused(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, limits={"body_bytes": 300})) as server:
        body: dict[str, Any] = {"input": "hi", "max_output_tokens": 1}
        for _ in range(5):
            found = server.post(PATH, body)
            if found.status_code == 200:
                body["previous_response_id"] = found.json()["id"]
        assert found.status_code == 400
        assert found.json()["error"]["code"] == "context_length_exceeded"


def test_a_file_keeps_them_for_the_next_server(
    chat_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(chat_gguf, store=StoreSettings(str(tmp_path / "store.db")))
    prompts = dictate(monkeypatch, "yes")
    with running(settings) as server:
        first = made(server)
    with running(settings) as server:
        again = server.client.get(f"{PATH}/{first['id']}", headers={"x-api-key": "one"})
        assert again.json() == first
        made(server, input="so", previous_response_id=first["id"])
        text = server.served.tokenizer.decode(prompts[-1])
        assert text.startswith("user: hi\nassistant: yes\nuser: so\n")


def test_an_answer_that_cannot_be_kept_is_given(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> bool:
        raise OSError("no space left")

    monkeypatch.setattr(MemoryStore, "put", fails)
    with caplog.at_level(logging.ERROR, "ggmlkit.server"):
        found = made(server)
    assert found["status"] == "incomplete"
    assert found["store"] is False
    assert "no space left" in caplog.text
    body = {"input": "hi", "max_output_tokens": 2, "stream": True}
    assert named_events(server.post(PATH, body))[-1]["response"]["store"] is False
