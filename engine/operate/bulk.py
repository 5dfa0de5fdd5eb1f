"""A database as plain tables, for moving house: read in pages by key, write in batches with a bookmark."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from interlock.engine.errors import BadConfiguration
from interlock.engine.store import Row
from interlock.engine.store.opening import open_store, sqlite_path

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "subscription": ("subscription_id",),
    "customer": ("customer_id",),
    "users": ("user_id",),
    "event": ("event_id",),
    "bill": ("invoice_id",),
    "decision": ("seq",),
    "queue": ("seq",),
    "checkout": ("session_id",),
    "memo": ("name",),
    "price": ("price_id",),
    "turn": ("account", "user_id"),
    "verb_key": ("account", "user_id", "verb_key"),
    "usage_counter": ("user_id", "feature", "window_start"),
    "usage_seen": ("user_id", "feature", "id"),
    "usage_hold": ("hold_id",),
    "meter_minute": ("customer_id", "event_name", "minute"),
    "meter_event": ("identifier",),
}
"""Every table and its key, those that others refer to first."""
BOOKMARK: Final = "move"
_PUT_BOOKMARK: Final = (
    f"INSERT INTO memo (name, value) VALUES ('{BOOKMARK}', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


Key: TypeAlias = Sequence[Any]
"""The values of a row's key."""


def key_of(table: str, columns: list[str], row: Row) -> Key:
    """Return the key of a row."""
    return [row[columns.index(name)] for name in KEYS[table]]


class Bulk(Protocol):
    """One database."""

    async def columns(self, table: str) -> list[str]:
        """Return a table's columns, in their order."""
        ...

    async def page(self, table: str, columns: list[str], after: Key | None, limit: int) -> list[Row]:
        """Return rows by key, those after a key; None begins."""
        ...

    async def count(self, table: str) -> int:
        """Count a table's rows, the bookmark left out."""
        ...

    async def bookmark(self) -> str | None:
        """Return how far a move came that did not end."""
        ...

    async def put(self, table: str, columns: list[str], rows: list[Row], bookmark: str) -> None:
        """Add rows and set the bookmark, both or neither."""
        ...

    async def finish(self) -> None:
        """Let the next numbers come after all that were copied, and take the bookmark out."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def _page(table: str, columns: list[str], after: Key | None) -> str:
    key = ", ".join(KEYS[table])
    places = ", ".join(f"${n}" for n in range(2, 2 + len(KEYS[table])))
    where = f"WHERE ({key}) > ({places})" if after is not None else ""
    return f"SELECT {', '.join(columns)} FROM {table} {where} ORDER BY {key} LIMIT $1"


def _count(table: str) -> str:
    return f"SELECT count(*) FROM {table}" + (f" WHERE name <> '{BOOKMARK}'" if table == "memo" else "")


class SqliteBulk:
    """A SQLite file, held as its service would: nobody else serves from it meanwhile."""

    def __init__(self, connection: sqlite3.Connection, closing: contextlib.AsyncExitStack) -> None:
        self._connection = connection
        self._closing = closing

    @classmethod
    async def open(cls, url: str, *, exists: bool) -> SqliteBulk:
        path = sqlite_path(url)
        if exists and not path.is_file():
            raise BadConfiguration(f"{path}: there is no such file")
        async with contextlib.AsyncExitStack() as stack:
            store = await open_store(url, service=True)
            stack.push_async_callback(store.close)
            connection = sqlite3.connect(path, isolation_level=None)
            stack.callback(connection.close)
            connection.execute("PRAGMA foreign_keys = ON")
            return cls(connection, stack.pop_all())

    def _run(self, sql: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(sql.replace("$", "?"), arguments).fetchall()

    async def columns(self, table: str) -> list[str]:
        return [row[1] for row in self._run(f"PRAGMA table_info({table})")]

    async def page(self, table: str, columns: list[str], after: Key | None, limit: int) -> list[Row]:
        return self._run(_page(table, columns, after), limit, *(after or ()))

    async def count(self, table: str) -> int:
        return self._run(_count(table))[0][0]

    async def bookmark(self) -> str | None:
        rows = self._run("SELECT value FROM memo WHERE name = $1", BOOKMARK)
        return rows[0][0] if rows else None

    async def put(self, table: str, columns: list[str], rows: list[Row], bookmark: str) -> None:
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        self._run("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(insert, rows)
            self._run(_PUT_BOOKMARK, bookmark)
            self._run("COMMIT")
        except BaseException:
            self._run("ROLLBACK")
            raise

    async def finish(self) -> None:
        self._run("DELETE FROM memo WHERE name = $1", BOOKMARK)  # the next number follows the highest by itself

    async def close(self) -> None:
        await self._closing.aclose()


class PostgresBulk:
    """A PostgreSQL database, from which no Interlock process works."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @classmethod
    async def open(cls, url: str, *, exists: bool) -> PostgresBulk:
        await (await open_store(url, service=False)).close()
        from interlock.engine.store.postgres.connector import APPLICATION, Connector

        link = await Connector(url, f"{APPLICATION} move").connect(limited=False)
        bulk = cls(link.raw)
        for _ in range(20):  # one that has just ended is listed for a moment longer
            if not await bulk.others():
                return bulk
            await asyncio.sleep(0.1)
        await link.close()
        raise BadConfiguration("an interlock process is still connected to the PostgreSQL database; stop it first")

    async def others(self) -> int:
        """Count the other connections of Interlock's to this database."""
        return await self._raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND starts_with(application_name, 'interlock')"
        )

    async def columns(self, table: str) -> list[str]:
        names = (
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum"
        )
        return [row[0] for row in await self._raw.fetch(names, table)]

    async def page(self, table: str, columns: list[str], after: Key | None, limit: int) -> list[Row]:
        rows = await self._raw.fetch(_page(table, columns, after), limit, *(after or ()))
        return [tuple(row) for row in rows]

    async def count(self, table: str) -> int:
        return await self._raw.fetchval(_count(table))

    async def bookmark(self) -> str | None:
        return await self._raw.fetchval("SELECT value FROM memo WHERE name = $1", BOOKMARK)

    async def put(self, table: str, columns: list[str], rows: list[Row], bookmark: str) -> None:
        async with self._raw.transaction():
            await self._raw.copy_records_to_table(table, records=rows, columns=columns)
            await self._raw.execute(_PUT_BOOKMARK, bookmark)

    async def finish(self) -> None:
        async with self._raw.transaction():
            for table in [table for table, key in KEYS.items() if key == ("seq",)]:
                sequence = f"pg_get_serial_sequence('{table}', 'seq')"
                await self._raw.execute(f"SELECT setval({sequence}, max(seq)) FROM {table} HAVING count(*) > 0")
            await self._raw.execute("DELETE FROM memo WHERE name = $1", BOOKMARK)
        await self._raw.execute("ANALYZE")

    async def close(self) -> None:
        await self._raw.close()


async def open_bulk(url: str, *, exists: bool) -> Bulk:
    """Open a database for a move, and bring its schema up to date; `exists` where it must be there already."""
    return await (SqliteBulk if url.startswith("sqlite:") else PostgresBulk).open(url, exists=exists)
