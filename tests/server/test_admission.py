"""How many answers may run and wait."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.server.admission import Admission
from running_server import dictate, running, settings_for, until


def test_answers_are_counted_by_model() -> None:
    admission = Admission(parallel=2, waiting=1)
    with admission.admitted("a", 2), admission.admitted("a"):
        assert admission.waiting("a") == 1
        with pytest.raises(RequestError) as error, admission.admitted("a"):
            pass
        assert error.value.status == 429
        assert int(error.value.headers["Retry-After"]) >= 1
        with admission.admitted("b", 3):
            assert admission.answers == 6
    assert admission.answers == 0
    with pytest.raises(RequestError) as error, admission.admitted("a", 4):
        pass
    assert error.value.status == 400  # it would never be admitted


def test_a_full_queue_is_429(chat_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dictate(monkeypatch, "hello" * 2, pause=0.04)
    settings = settings_for(chat_gguf, engine={"parallel": 1}, limits={"waiting": 1})
    with running(settings) as server:
        threads = [threading.Thread(target=server.chat) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: server.serving.admission.answers == 2)
        found = server.chat()
        assert found.status_code == 429
        assert found.json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(found.headers["Retry-After"]) <= 60
        for thread in threads:
            thread.join()
        assert server.chat().status_code == 200


def test_a_server_that_ends_refuses_with_503(
    chat_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "hello" * 2, pause=0.04)
    with running(settings_for(chat_gguf)) as server:
        found = []
        thread = threading.Thread(target=lambda: found.append(server.chat()))
        thread.start()
        until(lambda: server.serving.admission.answers == 1)
        server.serving.admission.is_draining = True
        refused = server.chat()
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert server.client.get("/health").json() == {"status": "shutting down"}
        thread.join()
        assert found[0].json()["choices"][0]["message"]["content"] == "hello" * 2
