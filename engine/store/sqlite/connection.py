"""How a SQLite file is opened, and how many statements share one hop into a connection's thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from interlock.engine.store.sqlite.locks import BUSY_SECONDS

T = TypeVar("T")

_DURABLE: Final = ("synchronous = FULL", "foreign_keys = ON")
_WRITES: Final = ("cache_size = -262144", "wal_autocheckpoint = 8000")
"""At most 256 MiB hold the pages that a million subscriptions share; what changes often is written home once."""
_READS: Final = ("cache_size = -65536", "query_only = 1")


async def connect(path: Path, opened: list[aiosqlite.Connection], *, read_only: bool = False) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    opened.append(connection)
    await in_thread(connection, _into_wal)
    for pragma in (*_DURABLE, *(_READS if read_only else _WRITES)):
        await connection.execute(f"PRAGMA {pragma}")
    return connection


async def in_thread(connection: aiosqlite.Connection, function: Callable[..., T], *arguments: Any) -> T:
    """Run a function with the sqlite3 connection in its thread.

    aiosqlite awaits each statement with a hop of its own; its one (private) way to run many in a hop is this.
    """
    raw = connection._conn  # pyright: ignore[reportPrivateUsage]
    return await connection._execute(function, raw, *arguments)  # pyright: ignore


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
