"""SQLite: one writing connection, fed by one task that commits what has gathered, a batch at a time.

Every `write` waits in a queue.  One hop into the connection's thread takes up to 64 of them through one
transaction, and their callers hear of it only after COMMIT (WAL, synchronous=FULL: after the disk has it).  Only
this task ever holds a transaction, so a caller that is cancelled leaves none open.

Two locks on a file beside the database keep other processes in order: the service holds one for its life, so
that a second service on the same file is refused, and whoever writes holds the other for the batch
(SQLite before 3.51.3 can lose a WAL that two connections write and checkpoint at the same moment).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import aiosqlite

from interlock.engine.errors import BadConfiguration, StoreUnavailable
from interlock.engine.store import OnForeignChange, Work
from interlock.engine.store.sqlite.locks import BUSY_SECONDS, Locks, NotBegun
from interlock.engine.store.statements import SQLITE, check_schema, migrations

T = TypeVar("T")

BATCH: Final = 64
MOST_WAITING: Final = 10_000
"""Units of work that may wait; beyond it a caller is told to come back."""
_LOOK_SECONDS: Final = 0.5
_DURABLE: Final = ("synchronous = FULL", "foreign_keys = ON")
_WRITES: Final = ("cache_size = -262144", "wal_autocheckpoint = 8000")
"""At most 256 MiB hold the pages that a million subscriptions share; what changes often is written home once."""
_READS: Final = ("cache_size = -65536", "query_only = 1")


class _Job(NamedTuple, Generic[T]):
    work: Callable[[], Work[T]]
    done: asyncio.Future[T]


def _drive(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Step through a unit of work, giving each statement's rows back to it."""
    try:
        statement, arguments = next(work)
        while True:
            statement, arguments = work.send(connection.execute(statement.sqlite, arguments).fetchall())
    except StopIteration as end:
        return end.value


def _read_batch(connection: sqlite3.Connection, jobs: list[_Job[Any]]) -> list[Any]:
    """Read for each job what is committed when its turn comes; an exception in the list is that job's own."""
    results: list[Any] = []
    for job in jobs:
        try:
            results.append(_drive(connection, job.work()))
        except Exception as error:
            results.append(error)
    return results


def _tell(jobs: list[_Job[Any]], results: list[Any]) -> None:
    """Give each caller that still waits what came of its job."""
    for job, result in zip(jobs, results, strict=True):
        if job.done.done():
            continue
        if isinstance(result, sqlite3.Error):
            cause, result = result, StoreUnavailable(str(result))
            result.__cause__ = cause
        if isinstance(result, Exception):
            job.done.set_exception(result)
        else:
            job.done.set_result(result)


def _data_version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA data_version").fetchone()[0]


def _commit_batch(connection: sqlite3.Connection, locks: Locks, jobs: list[_Job[Any]]) -> list[Any]:
    """Commit a batch; an exception in the list is that job's own failure.

    All go through one transaction.  Where one fails the batch leaves nothing, and each has one of its own.
    Raises sqlite3.Error when no transaction can be begun.
    """
    try:
        return _transact(connection, locks, jobs)
    except NotBegun as error:
        raise error.cause from None
    except Exception as error:
        if len(jobs) == 1:
            return [error]
    results: list[Any] = []
    for job in jobs:
        try:
            results += _transact(connection, locks, [job])
        except NotBegun as error:
            return results + [error.cause] * (len(jobs) - len(results))
        except Exception as error:
            results.append(error)
    return results


def _transact(connection: sqlite3.Connection, locks: Locks, jobs: list[_Job[Any]]) -> list[Any]:
    with locks.writing():
        try:
            if connection.in_transaction:  # one that a failing disk did not even let roll back
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise NotBegun(error) from error
        try:
            results = [_drive(connection, job.work()) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends the transaction by itself
                connection.execute("ROLLBACK")
            raise
    return results


def _into_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL; raise sqlite3.Error where it stays locked.

    While another switches a new file, SQLite answers "locked" at once here, whatever its busy timeout.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, locks: Locks) -> None:
    """Bring the schema up to this program's; refuse a database that a newer program has changed."""
    with locks.writing():
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_step (number integer PRIMARY KEY, name text, checksum text) STRICT"
            )
            applied = dict(connection.execute("SELECT number, checksum FROM schema_step").fetchall())
            steps = migrations(SQLITE)
            check_schema(applied, {step.number: step.checksum for step in steps})
            for step in steps:
                if step.number not in applied:
                    for statement in split(step.sql):
                        connection.execute(statement)
                    arguments = (step.number, step.name, step.checksum)
                    connection.execute("INSERT INTO schema_step VALUES (?, ?, ?)", arguments)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def split(sql: str) -> Iterator[str]:
    """Yield the statements of a migration; none of ours holds a semicolon inside."""
    without_comments = "\n".join(line.partition("--")[0] for line in sql.splitlines())
    yield from (part.strip() for part in without_comments.split(";") if part.strip())


class SqliteStore:
    """A Store on one SQLite file.

    `on_foreign_change` is called when another process (`interlock reconcile`) has written to the file.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, locks: Locks) -> None:
        self.on_foreign_change: OnForeignChange = lambda users: None
        self._writer = writer
        self._reader = reader
        self._to_read: list[_Job[Any]] = []
        self._reading: asyncio.Task[None] | None = None
        self._locks = locks
        self._jobs: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(MOST_WAITING)
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
            writer = await _connect(path, connections)
            await _in_thread(writer, _migrate, locks)
            reader = await _connect(path, connections, read_only=True)
        except BaseException as error:
            for connection in connections:
                await connection.close()
            locks.release()
            cause = error.cause if isinstance(error, NotBegun) else error
            if isinstance(cause, sqlite3.Error):
                raise BadConfiguration(f"DATABASE_URL: {path}: {cause}") from error
            raise
        return cls(writer, reader, locks)

    async def write(self, work: Callable[[], Work[T]], *, about: str | None = None) -> T:
        """Run a unit of work; return once its batch is committed and on disk."""
        job = _Job(work, asyncio.get_running_loop().create_future())
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise StoreUnavailable("too much waits to be written") from None
        return await job.done

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads; those that ask at the same time share a hop into the thread."""
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._to_read.append(job)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_batches(), name="sqlite reader")
        return await job.done

    async def _read_batches(self) -> None:
        try:
            while self._to_read:
                jobs, self._to_read = self._to_read[:BATCH], self._to_read[BATCH:]
                try:
                    results = await _in_thread(self._reader, _read_batch, jobs)
                except Exception as error:
                    results = [error] * len(jobs)
                _tell(jobs, results)
        finally:
            self._reading = None

    def announce(self, users: Iterable[str]) -> None:
        """Nobody else streams from this file; a command beside the service hears by looking."""

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

    def _take_waiting(self, most: int = MOST_WAITING) -> list[_Job[Any]]:
        """Take what waits, up to the word that ends it all, which stays for its turn."""
        taken: list[_Job[Any]] = []
        for _ in range(min(most, self._jobs.qsize())):
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put_nowait(None)
                break
            taken.append(job)
        return taken

    async def _write_batch(self, jobs: list[_Job[Any]]) -> None:
        results: list[Any]
        try:
            results = await _in_thread(self._writer, _commit_batch, self._locks, jobs)
        except Exception as error:
            jobs += self._take_waiting()  # they would wait as long for the same answer, batch after batch
            results = [error] * len(jobs)
        _tell(jobs, results)

    async def _look_for_foreign_changes(self) -> None:
        try:
            version = await _in_thread(self._writer, _data_version)
        except sqlite3.Error:
            return
        if self._data_version not in (0, version):
            self.on_foreign_change(None)
        self._data_version = version


async def _connect(path: Path, opened: list[aiosqlite.Connection], *, read_only: bool = False) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    opened.append(connection)
    await _in_thread(connection, _into_wal)
    for pragma in (*_DURABLE, *(_READS if read_only else _WRITES)):
        await connection.execute(f"PRAGMA {pragma}")
    return connection


async def _in_thread(connection: aiosqlite.Connection, function: Callable[..., T], *arguments: Any) -> T:
    """Run a function with the sqlite3 connection in its thread.

    aiosqlite awaits each statement with a hop of its own; its one (private) way to run many in a hop is this.
    """
    raw = connection._conn  # pyright: ignore[reportPrivateUsage]
    return await connection._execute(function, raw, *arguments)  # pyright: ignore
