"""Records that are kept, in memory and in a file."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.errors import FormatError
from ggmlkit.server.settings import StoreSettings
from ggmlkit.server.store import in_file
from ggmlkit.server.store.in_file import FileStore
from ggmlkit.server.store.opening import opened
from ggmlkit.server.store.records import OVERHEAD, Record, Room, Store

FOREVER = 10**9
LARGE = Room(100, FOREVER)
# Keeps records until it is killed, and says the id of each that is kept.
ENDLESS = """\
import asyncio, sys
from pathlib import Path
from ggmlkit.server.store import in_file
from ggmlkit.server.store.in_file import FileStore
from ggmlkit.server.store.records import Record, Room
async def main():
    store = FileStore(Path(sys.argv[1]), Room(10**6, 10**9))
    for number in range(10**6):
        id = f"r{number}"
        await store.put(Record(id, "a", f"r{number - 1}" if number else None, id.encode() * 1000))
        print(id, flush=True)
asyncio.run(main())
"""


def record(id: str, previous: str | None = None, owner: str = "a", size: int = 100) -> Record:
    return Record(id, owner, previous, b"x" * (size - OVERHEAD if size > OVERHEAD else size))


@asynccontextmanager
async def open_store(path: Path | None, room: Room = LARGE) -> AsyncIterator[Store]:
    store = opened(StoreSettings(None if path is None else str(path), *room))
    try:
        yield store
    finally:
        await store.close()
        await store.close()


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where records are kept; None: in memory."""
    return None if request.param == "memory" else tmp_path / "store.db"


def test_records_are_their_owners_alone(path: Path | None) -> None:
    async def work() -> None:
        async with open_store(path) as store:
            one = record("1")
            assert await store.put(one)
            assert await store.get("1", "a") == one
            for id, owner in (("1", "b"), ("1", ""), ("2", "a")):
                assert await store.get(id, owner) is None
                assert await store.chain(id, owner, FOREVER) == []
                assert not await store.delete(id, owner)
            assert await store.delete("1", "a")
            assert not await store.delete("1", "a")
            assert await store.get("1", "a") is None

    asyncio.run(work())


def test_chains(path: Path | None) -> None:
    async def ids(store: Store, id: str, most: int = FOREVER) -> list[str]:
        return [each.id for each in await store.chain(id, "a", most)]

    async def work() -> None:
        async with open_store(path) as store:
            for each in (record("1"), record("2", "1"), record("3", "2"), record("4", "2")):
                await store.put(each)
            await store.put(record("5", "4", owner="b"))
            assert await ids(store, "3") == ["1", "2", "3"]
            assert await ids(store, "4") == ["1", "2", "4"]
            assert await ids(store, "3", OVERHEAD) == ["3"]  # the others are more than wanted
            assert await ids(store, "5") == []
            assert [each.id for each in await store.chain("5", "b", FOREVER)] == ["5"]
            await store.delete("1", "a")
            assert await ids(store, "3") == ["2", "3"]

    asyncio.run(work())


@pytest.mark.parametrize("room", [Room(3, FOREVER), Room(100, 3000)], ids=["records", "bytes"])
def test_the_oldest_go_first(path: Path | None, room: Room) -> None:
    async def work() -> None:
        async with open_store(path, room) as store:
            for number in range(10):
                assert await store.put(record(str(number), size=1000))
            kept = [n for n in range(10) if await store.get(str(n), "a") is not None]
            assert kept == [7, 8, 9]
            assert await store.delete("8", "a")
            await store.put(record("10", size=1000))
            assert await store.get("7", "a") is not None
            if room.size == 3000:
                assert not await store.put(record("11", size=3001))
                assert await store.put(record("12", size=3000))
                assert await store.get("10", "a") is None

    asyncio.run(work())


def test_a_file_outlives_its_server(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "store.db"
        async with open_store(path, Room(2, FOREVER)) as store:
            await store.put(record("1"))
            await store.put(record("2", "1"))
        assert path.stat().st_mode & 0o777 == 0o600
        async with open_store(path, Room(2, FOREVER)) as store:
            assert await store.chain("2", "a", FOREVER) == [record("1"), record("2", "1")]
            await store.put(record("3"))  # what was there before is counted
            assert await store.get("1", "a") is None

    asyncio.run(work())


def test_a_kill_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split("\n")[:-1]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    async def work() -> None:
        async with open_store(path) as store:
            chain = await store.chain(told[-1], "a", FOREVER)
            assert [each.id for each in chain] == told
            assert all(each.data == each.id.encode() * 1000 for each in chain)

    asyncio.run(work())


def test_what_is_deleted_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def work() -> None:
        async with open_store(path) as store:
            await store.put(Record("1", "a", None, b"a secret" * 10_000))
            await store.delete("1", "a")

    asyncio.run(work())
    assert b"a secret" not in path.read_bytes()


def test_the_event_loop_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_begun, is_free = threading.Event(), threading.Event()
    inserted: list[str] = []
    insert = FileStore._insert

    def slowly(self: FileStore, each: Record) -> Any:
        is_begun.set()
        assert is_free.wait(10)
        inserted.append(each.id)
        return insert(self, each)

    monkeypatch.setattr(FileStore, "_insert", slowly)

    async def work() -> None:
        async with open_store(tmp_path / "store.db") as store:
            putting = asyncio.create_task(store.put(record("1")))
            while not is_begun.is_set():
                await asyncio.sleep(0.001)
            putting.cancel()  # its client went away
            is_free.set()
            with pytest.raises(asyncio.CancelledError):
                await putting
            assert await store.get("1", "a") == record("1")

    asyncio.run(work())
    assert inserted == ["1"]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_store(tmp_path / "store.db", Room(2, FOREVER)) as store:
            await store.put(record("1"))
            with pytest.raises(sqlite3.IntegrityError):
                await store.put(record("1"))
            await store.put(record("2"))
            assert await store.get("1", "a") is not None

    asyncio.run(work())


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_file, "_LOCKED_SECONDS", 0)
    room = Room(1, FOREVER)
    text = tmp_path / "text"
    text.write_text("no database, but some text that is long enough" * 10)
    with pytest.raises(FormatError, match="no file of stored responses"):
        FileStore(text, room)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE a (b)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(FormatError, match="a database of something else"):
        FileStore(other, room)
    assert other.read_bytes() == before
    with pytest.raises(IsADirectoryError):
        FileStore(tmp_path, room)
    with pytest.raises(FileNotFoundError):
        FileStore(tmp_path / "none" / "store.db", room)

    async def work() -> None:
        path = tmp_path / "store.db"
        async with open_store(path):
            with pytest.raises(FormatError, match="another program uses"):
                FileStore(path, room)
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 2")
        database.close()
        with pytest.raises(FormatError, match="version 2"):
            FileStore(path, room)

    asyncio.run(work())
    assert not [each for each in threading.enumerate() if each.name.startswith("ggmlkit-store")]
