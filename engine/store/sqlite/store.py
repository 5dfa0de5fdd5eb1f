"""SQLite: one writing connection, fed by one task that commits what has gathered, a batch at a time.

Every `write` waits in a queue.  One hop into the connection's thread takes up to 64 of them through one
transaction (`batch`), and their callers get their results only after COMMIT (WAL, synchronous=FULL: after the disk
has it).  Only this task ever holds a transaction, so a caller that is cancelled leaves none open.

Two locks on a file beside the database keep other processes in order: the service holds one for its life, so
that a second service on the same file is refused, and whoever writes holds the other for the batch
(SQLite before 3.51.3 can lose a WAL that two connections write and checkpoint at the same moment).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from interlock.engine.errors import BadConfiguration, StoreUnavailable
from interlock.engine.store import OnForeignChange, Work
from interlock.engine.store.sqlite.batch import Job, commit_batch, read_batch, settle
from interlock.engine.store.sqlite.connection import connect, in_thread
from interlock.engine.store.sqlite.locks import Locks, NotBegun
from interlock.engine.store.sqlite.migrate import migrate

T = TypeVar("T")

BATCH: Final = 64
MOST_WAITING: Final = 10_000
"""Units of work that may wait; beyond it a caller is asked to come back."""
_LOOK_SECONDS: Final = 0.5


def _data_version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA data_version").fetchone()[0]


class SqliteStore:
    """A Store on one SQLite file.

    `on_foreign_change` is called when another process (`interlock reconcile`) has written to the file.
    """

    exclusive = True

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, locks: Locks) -> None:
        self.on_foreign_change: OnForeignChange = lambda users: None
        self.exclusive = True
        self._writer = writer
        self._reader = reader
        self._to_read: list[Job[Any]] = []
        self._reading: asyncio.Task[None] | None = None
        self._locks = locks
        self._jobs: asyncio.Queue[Job[Any] | None] = asyncio.Queue(MOST_WAITING)
        self._data_version = 0
        self._task = asyncio.create_task(self._write_batches(), name="sqlite writer")

    @classmethod
    async def open(cls, path: Path, *, service: bool = True) -> SqliteStore:
        """Open the file and bring its schema up to date; raise BadConfiguration where that can't be."""
        try:
            locks = Locks(path)
        except OSError as error:
            raise BadConfiguration(f"DATABASE_URL: {path}: {error.strerror}") from error
        connections: list[aiosqlite.Connection] = []
        try:
            if service:
                locks.hold_service()
            writer = await connect(path, connections)
            await in_thread(writer, migrate, locks)
            reader = await connect(path, connections, read_only=True)
        except BaseException as error:
            for connection in connections:
                await connection.close()
            locks.release()
            cause = error.cause if isinstance(error, NotBegun) else error
            if isinstance(cause, sqlite3.Error):
                raise BadConfiguration(f"DATABASE_URL: {path}: {cause}") from error
            raise
        return cls(writer, reader, locks)

    async def write(self, work: Callable[[], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run a unit of work; return once its batch is committed and on disk."""
        job = Job(work, about, asyncio.get_running_loop().create_future())
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise StoreUnavailable("too much waits to be written") from None
        return await job.done

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads; those that ask at the same time share a hop into the thread."""
        job = Job(work, (), asyncio.get_running_loop().create_future())
        self._to_read.append(job)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_batches(), name="sqlite reader")
        return await job.done

    async def _read_batches(self) -> None:
        try:
            while self._to_read:
                jobs, self._to_read = self._to_read[:BATCH], self._to_read[BATCH:]
                try:
                    results = await in_thread(self._reader, read_batch, jobs)
                except Exception as error:
                    results = [error] * len(jobs)
                settle(jobs, results)
        finally:
            self._reading = None

    def announce(self, users: Iterable[str]) -> None:
        """No-op: other processes on this file poll `data_version`."""

    @contextlib.asynccontextmanager
    async def alone(self, name: str, rest: float) -> AsyncGenerator[bool]:
        """One service has the file to itself."""
        yield True

    async def close(self) -> None:
        """Commit what waits, then let go of the file."""
        await self._jobs.put(None)
        await self._task
        await self._reader.close()
        await self._writer.close()
        self._locks.release()

    async def _write_batches(self) -> None:
        loop = asyncio.get_running_loop()
        looked = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                first = await asyncio.wait_for(self._jobs.get(), _LOOK_SECONDS)
                if first is None:
                    return
                await self._write_batch([first, *self._take_waiting(BATCH - 1)])
            if loop.time() - looked >= _LOOK_SECONDS:  # busy or idle
                await self._look_for_foreign_changes()
                looked = loop.time()

    def _take_waiting(self, most: int = MOST_WAITING) -> list[Job[Any]]:
        """Take queued jobs; leave the shutdown sentinel (`None`) in the queue."""
        taken: list[Job[Any]] = []
        for _ in range(min(most, self._jobs.qsize())):
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put_nowait(None)
                break
            taken.append(job)
        return taken

    async def _write_batch(self, jobs: list[Job[Any]]) -> None:
        results: list[Any]
        try:
            results = await in_thread(self._writer, commit_batch, self._locks, jobs)
        except Exception as error:
            jobs += self._take_waiting()  # they would wait as long for the same answer, batch after batch
            results = [error] * len(jobs)
        settle(jobs, results)

    async def _look_for_foreign_changes(self) -> None:
        try:
            version = await in_thread(self._writer, _data_version)
        except sqlite3.Error:
            return
        if self._data_version not in (0, version):
            self.on_foreign_change(None)
        self._data_version = version
