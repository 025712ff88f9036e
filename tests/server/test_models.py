"""Models by name: loaded when asked for, unloaded when idle or when memory is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.errors import ModelError
from ggmlkit.server import models
from ggmlkit.server.loading import loaded
from ggmlkit.server.models import Models
from ggmlkit.server.settings import Limits, ModelSource, ServerSettings
from running_server import running, settings_for, until


class Fake:
    """A model that takes no memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False

    def described(self) -> str:
        return self.name

    def warm(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


def made(
    names: str = "abc", load: Callable[..., Any] | None = None, **limits: Any
) -> tuple[Models, list[str]]:
    """Models, and what is said of them."""
    said: list[str] = []
    sources = tuple(ModelSource(name, f"/models/{name}.gguf", (name * 2,)) for name in names)
    settings = ServerSettings(models=sources, limits=Limits(**limits))
    return Models(settings, said.append, load or (lambda source, *_, **__: Fake(source.name))), said


def test_they_are_loaded_when_they_are_asked_for() -> None:
    async def work() -> None:
        found, said = made()
        assert not found.is_ready
        await found.load_first()
        assert found.is_ready
        assert [served.name for served in found.served] == ["a"]

        async def use(name: str | None) -> str:
            async with found.using(name) as served:
                await asyncio.sleep(0.01)
                return served.name

        assert await asyncio.gather(*map(use, ["bb", "b", None])) == ["b", "b", "a"]
        assert [line.split(",")[0] for line in said] == ["loaded a", "loaded b"]
        assert found.loaded("c") is None
        await found.close()
        assert said[2:] == ["unloaded a", "unloaded b"]

    asyncio.run(work())


def test_a_model_is_prepared_when_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_QUIET_SECONDS", 0.03)
    warmed: list[str] = []

    class Warmed(Fake):
        def warm(self) -> None:
            warmed.append(self.name)

    async def work() -> None:
        found, _ = made(load=lambda source, *_, **__: Warmed(source.name))
        async with found.using("a"):
            await asyncio.sleep(0.15)
            assert warmed == []
        while warmed != ["a"]:
            await asyncio.sleep(0.01)
        async with found.using("b"):
            pass
        await found.close()
        assert warmed == ["a"]

    asyncio.run(work())


def test_an_unknown_name_is_404() -> None:
    found, _ = made()
    for name in ("d", "", "../a", "/models/a.gguf", "x" * 500):
        with pytest.raises(RequestError) as error:
            found.source(name)
        assert error.value.status == 404
        assert len(error.value.message) < 200


def test_one_that_cannot_be_loaded_tells_no_path() -> None:
    def load(source: ModelSource, *_: object, **__: object) -> Any:
        raise ModelError(f"{source.path}: is broken")

    async def work() -> None:
        found, _ = made(load=load)
        with pytest.raises(RequestError) as error:
            async with found.using("b"):
                pass
        assert error.value.status == 503
        assert "/models" not in error.value.message
        with pytest.raises(ModelError):
            await found.load_first()  # whose fault is told to who starts the server
        with pytest.raises(RequestError):
            async with found.using("a"):
                pass
        assert not found.is_ready

    asyncio.run(work())


def test_idle_ones_are_unloaded_and_used_ones_are_not() -> None:
    async def work() -> None:
        found, _ = made(idle_seconds=0.04)
        await found.load_first()
        idle = asyncio.create_task(found.unload_idle())
        async with found.using("b") as b:
            while found.served != [b]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert found.served == [b]
        while found.served:
            await asyncio.sleep(0.01)
        assert found.is_ready  # a request would load it again
        async with found.using("a") as a:
            assert a.name == "a"
        idle.cancel()
        with suppress(asyncio.CancelledError):
            await idle

    asyncio.run(work())


def test_memory_is_made_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        found, said = made("abcd")
        monkeypatch.setattr(models, "_file_bytes", lambda _: 10)
        monkeypatch.setattr(models, "available_bytes", lambda: 100 - 45 * len(found.served))
        for name in "abc":
            async with found.using(name):
                pass
        async with found.using("b"), found.using("d"):
            pass
        # There is room for two; each time, what was used longest ago went.
        gone = [line for line in said if line.startswith("unloaded")]
        assert gone == ["unloaded a", "unloaded c"]

    asyncio.run(work())


def test_several_models_over_http(chat_gguf: Path) -> None:
    sources = (ModelSource("one", str(chat_gguf)), ModelSource("two", str(chat_gguf)))
    settings = settings_for(chat_gguf, models=sources, limits={"idle_seconds": 1.0})
    with running(settings) as server:
        assert len(server.serving.models.served) == 1
        texts = [
            server.chat(model=name, temperature=0).json()["choices"][0]["message"]["content"]
            for name in ("one", "two")
        ]
        assert texts[0] == texts[1]
        listed = server.client.get("/v1/models").json()["data"]
        assert [model["id"] for model in listed] == ["one", "two"]
        until(lambda: not server.serving.models.served)
        assert server.chat(model="two").status_code == 200


@pytest.mark.parametrize(("tokens", "is_said"), [(128, True), (512, False)])
def test_a_cache_that_is_smaller_than_the_context_is_said(
    chat_gguf: Path, tokens: int, is_said: bool
) -> None:
    settings = settings_for(chat_gguf, engine={"context": 512, "cache_tokens": tokens})
    with loaded(settings.models[0], settings, is_first=True) as served:
        assert ("(so no request may have more than 128)" in served.described()) == is_said
