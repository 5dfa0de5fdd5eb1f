"""Fills a database, of either kind, with many subscriptions that have lived for ten months each.

    python -m tests.tools.fill URL COUNT

Each has one user, ten events with ten decisions (five of them its bills'), and the payloads of the last three
months.  Ids rise with time, as Stripe's do, and what happens to one subscription lies months apart, so its rows
lie far from each other on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from engine import view
from engine.plans import read_catalogue
from engine.states import Facts, Subscription
from engine.store.opening import open_store, sqlite_path
from engine.wire import Subscription as WireSubscription
from engine.wire import facts_of
from tests.conftest import PLANS
from tests.stripe_payloads import MONTH, T0, Life, Line, Sub, body_of
from tests.tools.postgres import connect

MONTHS: Final = 10
_WITH_PAYLOAD: Final = 3
_AT_ONCE: Final = 20_000
LAST: Final = T0 + MONTHS * MONTH
CATALOGUE: Final = read_catalogue(PLANS)
COLUMNS: Final = {
    "subscription": "subscription_id customer_id user_id state as_of evidence since facts",
    "customer": "customer_id user_id as_of deleted",
    "users": "user_id customer_id version shown catalogue updated_at",
    "event": "event_id type created received_at subscription_id customer_id outcome payload",
    "bill": "invoice_id subscription_id created status attempt_count finalized_at hosted_url heard_at",
    "decision": "at event_id event_type source user_id subscription_id fired from_state to_state outcome",
}


def name(prefix: str, number: int) -> str:
    """Return an id as long as Stripe's, that rises with its number."""
    return f"{prefix}_1{number:07x}LkdIwHu7{number * 2654435761 % 2**32:08x}"


def life_of(number: int) -> Life:
    """Return a subscription as it is after its ten months."""
    sub = Sub(id=name("sub", number), customer=name("cus", number), user=f"user-{number:08d}",
              latest_invoice=name("in", number * MONTHS), lines=(Line(ends=LAST + MONTH),))  # fmt: skip
    return Life(sub)


_FIRST: Final = life_of(0)
_FACTS: Final = facts_of(msgspec.convert(_FIRST.sub.json(), WireSubscription))


def _facts(number: int) -> Facts:
    sub = life_of(number).sub
    return msgspec.structs.replace(_FACTS, subscription_id=sub.id, customer_id=sub.customer, user_id=sub.user,
                                   latest_invoice=sub.latest_invoice)  # fmt: skip


def _subscriptions(count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        facts = _facts(number)
        known = (facts.subscription_id, facts.customer_id, facts.user_id)
        yield *known, "active", LAST, MONTHS, T0, msgspec.json.encode(facts)


def _customers(count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        yield name("cus", number), f"user-{number:08d}", T0, 0


def _users(count: int) -> Iterator[tuple[Any, ...]]:
    held = Subscription(subscription_id=_FACTS.subscription_id, facts=_FACTS)
    standing = view.Standing(user_id="user-00000000", subscriptions=[held], has_customer=True)
    shown = view.encode(view.view(standing, CATALOGUE, LAST)[0], MONTHS, LAST)
    was = _FACTS.subscription_id.encode()
    for number in range(count):
        user = f"user-{number:08d}"
        drawn = shown.replace(b"user-00000000", user.encode()).replace(was, name("sub", number).encode())
        yield user, name("cus", number), MONTHS, drawn, CATALOGUE.digest, LAST


def _type(month: int) -> str:
    return "customer.subscription.updated" if month % 2 else "invoice.paid"


def _events(count: int) -> Iterator[tuple[Any, ...]]:
    payload = zlib.compress(body_of(life_of(0).update(LAST, status="active")), 1)
    for month in range(MONTHS):
        kept = payload if month >= MONTHS - _WITH_PAYLOAD else None
        at = T0 + month * MONTH
        for number in range(count):
            ids = (name("sub", number), name("cus", number))
            yield name("evt", month * count + number), _type(month), at, at, *ids, "applied", kept


def _bills(count: int) -> Iterator[tuple[Any, ...]]:
    for month in range(0, MONTHS, 2):
        at = T0 + month * MONTH
        for number in range(count):
            invoice = name("in", month * count + number)
            yield invoice, name("sub", number), at, "paid", 1, at, f"https://invoice.stripe.com/i/{invoice}", at


def _decisions(count: int) -> Iterator[tuple[Any, ...]]:
    for month in range(MONTHS):
        at, event_type = T0 + month * MONTH, _type(month)
        for number in range(count):
            ids = (f"user-{number:08d}", name("sub", number))
            what = (event_type, "webhook", *ids, "update", "active", "active", "applied")
            yield at, name("evt", month * count + number), *what


ROWS: Final = {
    "subscription": _subscriptions,
    "customer": _customers,
    "users": _users,
    "event": _events,
    "bill": _bills,
    "decision": _decisions,
}


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    walk = iter(rows)
    while chunk := list(islice(walk, _AT_ONCE)):
        yield chunk


async def fill(url: str, count: int) -> None:
    """Fill an empty database.  Its indexes are taken away meanwhile, and built at the end."""
    await (await open_store(url, service=False)).close()
    if url.startswith("sqlite"):
        _fill_sqlite(url, count)
    else:
        await _fill_postgres(url, count)


def _fill_sqlite(url: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -200000"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        kept = indexes.fetchall()
        for index, _ in kept:
            connection.execute(f"DROP INDEX {index}")
        for table, rows in ROWS.items():
            columns = COLUMNS[table].split()
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            connection.execute("BEGIN")
            for chunk in _chunks(rows(count)):
                connection.executemany(insert, chunk)
            connection.execute("COMMIT")
        for _, sql in kept:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgres(url: str, count: int) -> None:
    connection = await connect(url)
    try:
        await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
        kept = await connection.fetch(
            "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS sql FROM pg_index "
            "JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary"
        )
        for index in kept:
            await connection.execute(f"DROP INDEX {index['name']}")
        await connection.execute("ALTER TABLE decision DROP CONSTRAINT decision_event_id_fkey")
        await connection.execute("ALTER TABLE bill DROP CONSTRAINT bill_subscription_id_fkey")
        for table, rows in ROWS.items():
            await connection.copy_records_to_table(table, records=rows(count), columns=COLUMNS[table].split())
        for index in kept:
            await connection.execute(index["sql"])
        await connection.execute("ALTER TABLE decision ADD FOREIGN KEY (event_id) REFERENCES event")
        await connection.execute("ALTER TABLE bill ADD FOREIGN KEY (subscription_id) REFERENCES subscription")
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
