"""A server of tiny models in the tests' own process, on a free port."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from ggmlkit.engine.completion import Token
from ggmlkit.engine.stats import Stats
from ggmlkit.server import generating
from ggmlkit.server.app import create_app
from ggmlkit.server.loading import ServedModel
from ggmlkit.server.serving import Serving
from ggmlkit.server.settings import EngineSettings, Limits, ModelSource, ServerSettings

ENGINE = EngineSettings(context=512, cache_tokens=2048, parallel=4, threads=1)


def settings_for(model: Path, **changes: Any) -> ServerSettings:
    """Settings that serve a file as "tiny"; ``engine`` and ``limits`` are changes of the others."""
    engine = replace(ENGINE, **changes.pop("engine", {}))
    limits = replace(Limits(), **changes.pop("limits", {}))
    models = (ModelSource("tiny", str(model), ("alias",)),)
    return ServerSettings(**{"models": models, "engine": engine, "limits": limits, **changes})


class RunningServer:
    """A server that runs, and a client of it.

    Attributes:
        url: of the server, without a slash at its end.
        serving: its parts.
        client: for requests.
    """

    def __init__(self, url: str, serving: Serving, client: httpx.Client) -> None:
        self.url, self.serving, self.client = url, serving, client

    @property
    def served(self) -> ServedModel:
        """The first model, loaded."""
        return self.serving.models.served[0]

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """The response to a JSON body."""
        return self.client.post(path, json=body, **more)

    def chat(self, text: str = "hi", **fields: Any) -> httpx.Response:
        """The response to a message."""
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}
        return self.post("/v1/chat/completions", body)

    def is_free(self) -> bool:
        """Whether no answer holds pages of the cache."""
        model = self.served.model
        return model.free_cache_tokens == model.cache_tokens


@contextmanager
def running(settings: ServerSettings) -> Iterator[RunningServer]:
    """A server in a thread, once its first model is loaded."""
    failures: list[Exception] = []
    app = create_app(settings, on_failure=failures.append)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=20) as client:
            until(lambda: bool(failures) or client.get("/health").status_code == 200)
            assert not failures
            yield RunningServer(url, app.state.serving, client)
    finally:
        server.should_exit = True
        thread.join()


def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is so."""
    done = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if is_so():
            return
        done.wait(0.01)
    raise AssertionError("it did not happen in time")


class Dictated:
    """A stream that says a text, letter by letter, as a model would."""

    def __init__(self, served: ServedModel, text: str, pause: float = 0) -> None:
        self.stats = Stats(prompt_tokens=1)
        self._tokens = list(_tokens(served, text))
        self._pause = pause
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[Token]:
        return self

    async def __anext__(self) -> Token:
        if self._pause:
            await asyncio.sleep(self._pause)
        if self.is_closed or not self._tokens:
            raise StopAsyncIteration
        self.stats.decode_tokens += 1
        return self._tokens.pop(0)

    def close(self) -> None:
        self.is_closed = True


def _tokens(served: ServedModel, text: str) -> Iterator[Token]:
    for letter in text:
        yield Token(served.tokenizer.token_id(letter) or 0, letter)
    yield Token(served.tokenizer.eos_id or 0, "", finish_reason="stop")


def dictate(monkeypatch: pytest.MonkeyPatch, text: str, pause: float = 0) -> list[list[int]]:
    """Let models of all servers say a text; the prompts that they get are added to the list."""
    prompts: list[list[int]] = []

    def submitted(served: ServedModel, choice: Any, client: str, uses_cache: bool) -> Dictated:
        del client, uses_cache
        prompts.append(choice.prompt)
        return Dictated(served, text, pause)

    monkeypatch.setattr(generating, "_submitted", submitted)
    return prompts


def events(response: httpx.Response) -> list[str]:
    """The data of a stream's events."""
    parts = [part for part in response.text.split("\n\n") if part]
    assert all(part.startswith("data: ") for part in parts), parts
    return [part.removeprefix("data: ") for part in parts]


def named_events(response: httpx.Response) -> list[dict[str, Any]]:
    """The data of a stream's events, each of which has its type for a name."""
    found = []
    for part in response.text.split("\n\n")[:-1]:
        name, data = part.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found
