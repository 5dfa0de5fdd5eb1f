"""The engine's units of work on a real SQLite in memory, one at a time, for tests that step through them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from interlock.engine.store import Work
from interlock.engine.store.sqlite.batch import run_together
from interlock.engine.store.sqlite.migrate import split
from interlock.engine.store.statements import SQLITE, migrations

T = TypeVar("T")


def connect() -> sqlite3.Connection:
    """Return an empty database in memory, with the engine's schema."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA foreign_keys = ON")
    for step in migrations(SQLITE):
        for sql in split(step.sql):
            connection.execute(sql)
    return connection


def drive(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Step through a unit of work inside the transaction that is open, as a batch of it alone."""
    (result,) = run_together(connection, [work], [()])
    return result


def commit(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Run a unit of work as one transaction, whole or not at all."""
    connection.execute("BEGIN")
    try:
        result = drive(connection, work)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


class LiteStore:
    """A Store on such a database.  `before` is awaited before each unit of work: a place for delay and faults."""

    exclusive = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.on_foreign_change: Callable[[Iterable[str] | None], None] = lambda users: None
        self.exclusive = True

    async def before(self) -> None:
        """Let something happen before a unit of work."""

    async def after(self) -> None:
        """Let something happen after it was committed."""

    async def write(self, work: Callable[[], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run a unit of work in a transaction."""
        await self.before()
        result = commit(self.connection, work())
        await self.after()
        return result

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads."""
        await self.before()
        return drive(self.connection, work())

    def announce(self, users: Iterable[str]) -> None:
        """There is no other process."""

    def alone(self, name: str, rest: float) -> AbstractAsyncContextManager[bool]:
        """There is no other process."""
        return nullcontext(True)

    async def close(self) -> None:
        """Let go of the database."""
        self.connection.close()


def table(connection: sqlite3.Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return connection.execute(query, arguments).fetchall()
