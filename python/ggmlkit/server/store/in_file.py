"""Records in a file of SQLite: kept when the server ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from ggmlkit.errors import FormatError
from ggmlkit.server.store.records import OVERHEAD, Record, Room, chain_of

T = TypeVar("T")

_APPLICATION: Final = 0x67_6D_6C_72  # "gmlr", which tells these files from others
_VERSION: Final = 1
_LOCKED_SECONDS = 1.0  # to wait for a server that ends
_WAL_BYTES: Final = 32 << 20  # that the file beside this one keeps
_AT_ONCE: Final = 64  # records that are looked at together to make room
_TABLE: Final = """
CREATE TABLE responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    previous_id TEXT,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
)
"""
_FIELDS: Final = "id, owner, previous_id, data"


class FileStore:
    """Keeps records in a file. It has a thread of its own, so that nobody else waits for the disk.

    A record is there once :meth:`put` returns: killing the process loses none.

    Args:
        path: of the file, which is made if it is not there. Only its owner can read it.
        room: how much is kept.

    Raises:
        FormatError: the file is something else, is damaged, or another server uses it.
        OSError: it can't be made.
    """

    def __init__(self, path: Path, room: Room) -> None:
        self._path, self._room = path, room
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._thread = ThreadPoolExecutor(1, "ggmlkit-store")
        self._is_closed = False
        try:
            self._thread.submit(self._open).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            raise FormatError(path, None, _reason(error)) from None
        except BaseException:
            self._thread.shutdown()
            raise

    async def put(self, record: Record) -> bool:
        """Keep a record; False if it alone is larger than there is room for.

        Raises:
            sqlite3.Error: it can't be written.
        """
        if record.size > self._room.size or not self._room.records:
            return False
        await self._run(partial(self._put, record))
        return True

    async def get(self, id: str, owner: str) -> Record | None:
        """The owner's record with an id."""
        return await self._run(partial(self._get, owner, id))

    async def chain(self, id: str, owner: str, most_bytes: int) -> list[Record]:
        """See :class:`ggmlkit.server.store.records.Store`."""
        return await self._run(partial(self._chain, owner, id, most_bytes))

    async def delete(self, id: str, owner: str) -> bool:
        """Forget the owner's record with an id; False if there is none."""
        return await self._run(partial(self._delete, owner, id))

    async def close(self) -> None:
        """Close the file. Twice is no error."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        """The result of some work in the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ------------------------------------------------------------------ in the thread

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, timeout=_LOCKED_SECONDS, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # the counts below hold for one server alone
        found = run("PRAGMA application_id").fetchone()[0]
        if found != _APPLICATION:
            if run("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                raise FormatError(self._path, None, "this is a database of something else")
            run(f"PRAGMA application_id = {_APPLICATION}")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        run("PRAGMA secure_delete = ON")  # what is deleted can't be read from the file
        run("BEGIN IMMEDIATE")
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0:
            run(_TABLE)
            run(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise FormatError(
                self._path, None, f"version {version} of stored responses is not known here"
            )
        self._count, self._size = run(
            f"SELECT COUNT(*), COALESCE(SUM(size + {OVERHEAD}), 0) FROM responses"
        ).fetchone()
        run("COMMIT")

    def _put(self, record: Record) -> None:
        self._transaction(partial(self._insert, record))

    def _insert(self, record: Record) -> tuple[int, int]:
        run = self._database.execute
        run(
            "INSERT INTO responses (id, owner, previous_id, size, data) VALUES (?, ?, ?, ?, ?)",
            (record.id, record.owner, record.previous_id, len(record.data), record.data),
        )
        count, size = self._count + 1, self._size + record.size
        while count > self._room.records or size > self._room.size:
            oldest = run(
                "SELECT number, size FROM responses ORDER BY number LIMIT ?", (_AT_ONCE,)
            ).fetchall()
            for number, length in oldest:
                if count <= self._room.records and size <= self._room.size:
                    break
                run("DELETE FROM responses WHERE number = ?", (number,))
                count, size = count - 1, size - length - OVERHEAD
        return count, size

    def _get(self, owner: str, id: str) -> Record | None:
        found = self._database.execute(
            f"SELECT {_FIELDS} FROM responses WHERE id = ? AND owner = ?", (id, owner)
        ).fetchone()
        return None if found is None else Record(*found)

    def _chain(self, owner: str, id: str, most_bytes: int) -> list[Record]:
        return chain_of(partial(self._get, owner), id, most_bytes)

    def _delete(self, owner: str, id: str) -> bool:
        record = self._get(owner, id)
        if record is not None:
            self._transaction(partial(self._remove, record))
        return record is not None

    def _remove(self, record: Record) -> tuple[int, int]:
        self._database.execute("DELETE FROM responses WHERE id = ?", (record.id,))
        return self._count - 1, self._size - record.size

    def _transaction(self, work: Callable[[], tuple[int, int]]) -> None:
        """Do some work, which gives the new counts, as a whole or not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            counts = work()
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._count, self._size = counts


def _reason(error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return "another program uses these stored responses: give each server a file of its own"
    return f"this is no file of stored responses ({error})"
