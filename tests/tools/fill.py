"""Fills a database, of either kind, with many subscriptions that have lived for ten months each.

    python -m tests.tools.fill URL COUNT

Each has one user, ten events with ten decisions (five of them its bills'), and the payloads of the last three
months.  Ids rise with time, as Stripe's do, and what happens to one subscription lies months apart, so its rows
lie far from each other on disk.

The database makes the rows itself, a month of all subscriptions a statement.  Passing each through Python took
SQLite twice as long, PostgreSQL a little longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from interlock.engine.core import view
from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.core.holding import Holder, hold
from interlock.engine.core.states import Subscription
from interlock.engine.store.opening import open_store, sqlite_path
from interlock.engine.wire.objects import Subscription as WireSubscription
from interlock.engine.wire.reading import facts_of
from tests.kit.bodies import MONTH, T0, Life, Line, Sub, body_of
from tests.kit.settings import PLANS
from tests.tools.postgres import connect

MONTHS: Final = 10
_WITH_PAYLOAD: Final = 3
LAST: Final = T0 + MONTHS * MONTH
CATALOGUE: Final = read_catalogue(PLANS)


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
_HOLDER: Final = Holder(
    user_id=_FACTS.user_id or "",
    subscriptions=[Subscription(subscription_id=_FACTS.subscription_id, facts=_FACTS)],
    customer_id=_FACTS.customer_id,
)
_SHOWN: Final = view.encode(view.view(hold(_HOLDER, CATALOGUE, LAST)), MONTHS, LAST)
_PAYLOAD: Final = zlib.compress(body_of(life_of(0).update(LAST, status="active")), 1)


class _Words(NamedTuple):
    """How a database says what the two say differently; `{}` is an expression, `n` a subscription's number."""

    hex: str
    """A number with so many hexadecimal digits."""
    user: str
    bytes: str
    """The bytes of a text."""
    numbers: str
    """The numbers below `{}`, in their order."""


_SQLITE: Final = _Words(
    hex="printf('%0{1}x', {0})",
    user="printf('user-%08d', n)",
    bytes="CAST({} AS blob)",
    numbers="(WITH RECURSIVE each(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM each LIMIT {}) SELECT n FROM each)",
)
_POSTGRES: Final = _Words(
    hex="lpad(to_hex({0}), {1}, '0')",
    user="('user-' || lpad(n::text, 8, '0'))",
    bytes="convert_to({}, 'UTF8')",
    numbers="(SELECT n::bigint FROM generate_series(0, {} - 1) AS each(n))",
)


def _text(value: str | bytes) -> str:
    told = value if isinstance(value, str) else value.decode()
    return "'" + told.replace("'", "''") + "'"


class _Rows:
    """The statements that make the rows of so many subscriptions."""

    def __init__(self, words: _Words, count: int) -> None:
        self._words = words
        self._count = count
        self._ids = {kind: self._id(kind, "n") for kind in ("sub", "cus")}

    def _id(self, prefix: str, number: str) -> str:
        """What `name` does, in SQL."""
        digits = self._words.hex.format(f"({number})", 7)
        mixed = self._words.hex.format(f"(({number}) * 2654435761 % 4294967296)", 8)
        return f"('{prefix}_1' || {digits} || 'LkdIwHu7' || {mixed})"

    def _drawn(self, first: bytes) -> str:
        """What the first subscription has, with the names of each one's own."""
        sub = _FIRST.sub
        told = _text(first)
        for was, own in ((sub.id, self._ids["sub"]), (sub.customer, self._ids["cus"]), (sub.user, self._words.user),
                         (sub.latest_invoice, self._id("in", f"n * {MONTHS}"))):  # fmt: skip
            told = f"replace({told}, {_text(was or '')}, {own})"
        return self._words.bytes.format(told)

    def _insert(self, table: str, **columns: Any) -> str:
        numbers = self._words.numbers.format(self._count)
        values = ", ".join(str(value) for value in columns.values())
        return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {numbers} AS numbers ORDER BY n"

    def statements(self) -> Iterator[str]:
        """Yield them in an order in which each row finds those it refers to."""
        sub, cus, user = self._ids["sub"], self._ids["cus"], self._words.user
        facts = self._drawn(msgspec.json.encode(_FACTS))
        yield self._insert("subscription", subscription_id=sub, customer_id=cus, user_id=user, state="'active'",
                           as_of=LAST, evidence=MONTHS, since=T0, facts=facts)  # fmt: skip
        yield self._insert("customer", customer_id=cus, user_id=user, as_of=T0, deleted=0)
        yield self._insert("users", user_id=user, customer_id=cus, version=MONTHS, shown=self._drawn(_SHOWN),
                           catalogue=_text(CATALOGUE.digest), updated_at=LAST)  # fmt: skip
        for month in range(MONTHS):
            yield from self._month(month, sub, cus, user)

    def _month(self, month: int, sub: str, cus: str, user: str) -> Iterator[str]:
        number, at = f"n + {month * self._count}", T0 + month * MONTH
        kind = "'customer.subscription.updated'" if month % 2 else "'invoice.paid'"
        payload = "NULL"
        if month >= MONTHS - _WITH_PAYLOAD:
            payload = f"x'{_PAYLOAD.hex()}'" if self._words is _SQLITE else f"'\\x{_PAYLOAD.hex()}'::bytea"
        event, invoice = self._id("evt", number), self._id("in", number)
        yield self._insert("event", event_id=event, type=kind, created=at, received_at=at, subscription_id=sub,
                           customer_id=cus, outcome="'applied'", payload=payload)  # fmt: skip
        if month % 2 == 0:
            url = f"'https://invoice.stripe.com/i/' || {invoice}"
            yield self._insert("bill", invoice_id=invoice, subscription_id=sub, created=at, status="'paid'",
                               attempt_count=1, finalized_at=at, hosted_url=url, heard_at=at)  # fmt: skip
        yield self._insert("decision", at=at, event_id=event, event_type=kind, source="'webhook'", user_id=user,
                           subscription_id=sub, fired="'update'", from_state="'active'", to_state="'active'",
                           outcome="'applied'")  # fmt: skip


async def fill(url: str, count: int) -> None:
    """Fill an empty database.  Its indexes are taken away meanwhile, and built at the end."""
    await (await open_store(url, service=False)).close()
    if url.startswith("sqlite"):
        await asyncio.to_thread(_fill_sqlite, url, count)
    else:
        await _fill_postgres(url, count)


_GROWN: Final = ("decision_by_user",)
"""Grows in the middle, as it does in a life: made at the end its pages would be full, and each webhook would split one.
(PostgreSQL leaves a tenth of each page free by itself.)"""


def _fill_sqlite(url: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -200000"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        kept = [index for index in indexes.fetchall() if index[0] not in _GROWN]
        for index, _ in kept:
            connection.execute(f"DROP INDEX {index}")
        for statement in _Rows(_SQLITE, count).statements():
            connection.execute(statement)
        for _, sql in kept:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode = WAL")


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
        for statement in _Rows(_POSTGRES, count).statements():
            await connection.execute(statement)
        for index in kept:
            await connection.execute(index["sql"])
        for table, key, parent in (("decision", "event_id", "event"), ("bill", "subscription_id", "subscription")):
            reference = f"CONSTRAINT {table}_{key}_fkey FOREIGN KEY ({key}, account) REFERENCES {parent}"
            await connection.execute(f"ALTER TABLE {table} ADD {reference}")
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
