"""A database with many subscriptions, made by copying the rows of one that the engine itself has stored.

Whatever the schema is, the copy has it: each table's rows of the first subscription are read, and written again
with the next one's ids in place of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.flow.runner import whole
from interlock.engine.store.sqlite.store import SqliteStore
from interlock.engine.store.statements import SQLITE, migrations
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import take
from interlock.engine.wire.events import read
from tests.bench import traffic
from tests.bench.subjects import PLANS

_TABLES: Final = ("customer", "subscription", "users", "event", "decision")
_AT_ONCE: Final = 50_000


async def _store_first(path: Path) -> None:
    """Let the engine take the first subscription's first event."""
    store = await SqliteStore.open(path)
    body = traffic.event(0, 0)
    unit = Unit(now=traffic.BEGIN, catalogue=read_catalogue(PLANS), livemode=False)
    await store.write(lambda: whole(unit, take(read(body), body, unit)))
    await store.close()


def _ids(number: int) -> list[str]:
    ids = (traffic.subscription, traffic.customer, traffic.user)
    others = traffic.event_id(number, 0), traffic.name("in", number, 0), traffic.name("si", number)
    return [*(of(number) for of in ids), *others]


def _copies(row: tuple[Any, ...], begin: int, end: int) -> Iterator[tuple[Any, ...]]:
    first = _ids(0)
    names = {value: first.index(value) for value in row if value in first}
    texts = {value for value in row if isinstance(value, bytes) and value.startswith(b"{")}  # JSON; a payload is zlib
    for number in range(begin, end):
        ids = _ids(number)
        new: dict[Any, Any] = {old: ids[at] for old, at in names.items()}
        for text in texts:
            new[text] = text
            for before, after in zip(first, ids, strict=True):
                new[text] = new[text].replace(before.encode(), after.encode())
        yield tuple(new.get(value, value) for value in row)


def fill(path: Path, count: int) -> None:
    """Make a database with `count` subscriptions, each active, with its user, its event and its decision."""
    asyncio.run(_store_first(path))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000;")
    rows: dict[str, tuple[str, list[Any]]] = {}
    for table in _TABLES:
        names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})") if column[1] != "seq"]
        listed = ", ".join(names)
        sql = f"INSERT INTO {table} ({listed}) VALUES ({', '.join('?' * len(names))})"
        rows[table] = sql, connection.execute(f"SELECT {listed} FROM {table}").fetchall()
    for begin in range(1, count, _AT_ONCE):
        end = min(count, begin + _AT_ONCE)
        connection.execute("BEGIN")
        for sql, found in rows.values():
            for row in found:
                connection.executemany(sql, _copies(row, begin, end))
        connection.execute("COMMIT")
        if sys.stderr.isatty():
            print(f"\rfilling: {end:,} of {count:,}", end="", file=sys.stderr, flush=True)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def filled(folder: Path, count: int) -> Path:
    """Return a filled database of one's own, copied from one that is kept in `folder` between runs."""
    kept = folder / f"filled-{count}-{_fingerprint()}.db"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        making = kept.with_suffix(".making")
        making.unlink(missing_ok=True)
        fill(making, count)
        making.rename(kept)
    return kept


def copied(kept: Path, to: Path) -> Path:
    shutil.copyfile(kept, to)
    return to


def _fingerprint() -> str:
    """Changes with the schema."""
    steps = migrations(SQLITE)
    return hashlib.sha256("".join(step.checksum for step in steps).encode()).hexdigest()[:8]
