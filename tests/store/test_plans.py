"""No statement on a webhook's or a reader's way looks through a whole table, however large it grew."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import pytest

from interlock.engine.store.opening import sqlite_path
from interlock.engine.store.postgres.connector import PLANS
from interlock.engine.store.postgres.many import for_many, takes_many
from interlock.engine.store.statements import STATEMENTS
from tests.store.conftest import Database
from tests.tools.fill import fill
from tests.tools.postgres import connect

pytestmark = pytest.mark.anyio

WHOLE = {
    "queue_next": "counts what waits of a kind; that table is as long as what is to be done",
    "queue_free_leases": "once, when a service on SQLite starts",
    "queue_dead": "what was given up, when an operator asks for it",
    "checkout_all_open": "once a sweep, over the open sessions",
    "meter_events_open": "counts the meter events that wait to be sent; hardly any do",
}
"""Statements that look through a whole table or index, and why they may."""
IN_ORDER = {
    "subscription_to_check",
    "subscription_unknown",
    "event_forget_payloads",
    "verb_key_forget",
    "subscription_living",
    "users_due",
    "queue_claim",
    "usage_seen_forget", "usage_hold_forget", "usage_hold_open", "meter_minute_oldest",
    "meter_minute_waiting", "meter_events_of", "meter_event_forget", "meter_events_waiting", "meter_events_dead",
}  # fmt: skip
"""Statements that take the first few beyond a point, in the order of an index."""
BY_INDEX = {
    "event_pending_of": {"event_pending"},
    "event_link": {"event_unlinked"},
    "event_forget_payloads": {"event_by_age"},
    "verb_key_forget": {"verb_key_by_age"},
    "subscription_of_user": {"subscription_by_user"},
    "subscription_of_customer": {"subscription_by_customer"},
    "subscription_to_check": {"subscription_by_check"},
    "subscription_unknown": {"subscription_of_unknown_price"},
    "subscription_users_of_customer": {"subscription_by_customer"},
    "bill_of_subscription": {"bill_of_subscription"},
    "customer_of_user": {"customer_by_user", "customer_by_checkout_user"},
    "customer_ids_of_user": {"customer_by_user", "customer_by_checkout_user"},
    "users_draw": {"subscription_by_user"},
    "users_of_customer": {"users_by_customer"},
    "users_due": {"users_by_clock"},
    "decision_link": {"decision_unlinked"},
    "decision_page": {"decision_by_user"},
    "decision_way": {"decision_by_user"},
    "queue_claim": {"queue_by_due", "queue_one"},
    "queue_again": {"queue_one"},
    "queue_done": {"queue_one"},
    "queue_bury": {"queue_one"},
    "checkout_open": {"checkout_one_open"},
    "usage_seen_forget": {"usage_seen_by_age"},
    "usage_hold_open": {"usage_hold_open"},
    "usage_hold_forget": {"usage_hold_by_age"},
    "meter_minute_oldest": {"meter_minute_by_time"},
    "meter_events_of": {"meter_event_of_customer"},
    "meter_event_forget": {"meter_event_delivered"},
    "meter_events_waiting": {"meter_event_open"},
    "meter_events_dead": {"meter_event_dead"},
}
"""What finds the rows of a statement, beside the keys of the tables; those not named here go by keys alone."""
FINDS_NOTHING = {"decision_applied_once": "no statement looks by it: it keeps an event from being applied twice"}
OPEN = (
    "INSERT INTO queue (kind, key, due_at) SELECT 'question', subscription_id, 1 FROM subscription",
    "INSERT INTO checkout (session_id, user_id, intent, url, expires_at, status) "
    "SELECT 'cs_' || user_id, user_id, 'pro', 'https://checkout.stripe.com', 1, 'open' FROM users",
    "INSERT INTO meter_minute (customer_id, event_name, minute, value) "
    "SELECT customer_id, 'tokens', 60, 1 FROM customer",
)
"""What is open at the moment; those who only live have nothing of it."""


class Way(NamedTuple):
    """How a plan comes to some rows."""

    by: str
    """An index; empty where it is the table itself, or its key."""
    how: str
    """By one value of the column that the index begins with (`key`), a `range` of them, or the `whole`."""


_HOW = {"=": "key", "<": "range", ">": "range"}
Explain = Callable[[], Awaitable[dict[str, list[Way]]]]


def _ways_of_sqlite(plan: str) -> Iterator[Way]:
    """What it calls SCAN reads all; so does an AUTOMATIC index, which it makes anew for each statement."""
    for line in re.findall(r"^(?:SEARCH|SCAN) (?!CONSTANT ROW|due\b).*", plan, re.MULTILINE):
        begins = re.search(r"USING (?:COVERING )?(?:INDEX (\w+)|INTEGER PRIMARY KEY) \((?:\w+|<expr>)([=<>])", line)
        index = re.search(r"INDEX (?!sqlite_autoindex_)(\w+)", line)
        yield Way(index[1] if index else "", _HOW[begins[2]] if begins else "whole")


def _ways_of_postgres(node: Any, begins_with: dict[str, str]) -> Iterator[Way]:
    """An index whose first column is not asked for is read from one end to the other, whatever its condition says."""
    for inner in node.get("Plans", ()):
        yield from _ways_of_postgres(inner, begins_with)
    if node["Node Type"] == "Seq Scan":
        yield Way("", "whole")
    elif name := node.get("Index Name"):
        texts = (begins_with[name], node.get("Index Cond", ""))
        first, condition = (re.sub(r"[\s()]|\b\w+\.(?=\w)", "", text) for text in texts)
        sign = condition.removeprefix(first)[:1] if condition.startswith(first) else ""
        yield Way("" if name.endswith("_pkey") else name, _HOW.get(sign, "whole"))


@contextlib.asynccontextmanager
async def on_sqlite(url: str) -> AsyncGenerator[tuple[sqlite3.Connection, Explain]]:
    """Yield a connection, and what tells how it would find each statement's rows."""

    async def explain() -> dict[str, list[Way]]:
        found: dict[str, list[Way]] = {}
        for name, statement in STATEMENTS.items():
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", [None] * len(statement.parameters))
            found[name] = [*_ways_of_sqlite("\n".join(str(row[3]) for row in rows))]
        return found

    with contextlib.closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
        yield connection, explain


@contextlib.asynccontextmanager
async def on_postgres(url: str) -> AsyncGenerator[tuple[Any, Explain]]:
    """The same; its plans are those that our own connections get."""

    async def explain() -> dict[str, list[Way]]:
        begins_with: dict[str, str] = dict(await connection.fetch(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, false) FROM pg_index"
        ))  # fmt: skip
        found: dict[str, list[Way]] = {}
        for name, statement in prepared.items():
            given = f"({', '.join(['NULL'] * len(statement.parameters))})" if statement.parameters else ""
            plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name}{given}"))
            found[name] = [*_ways_of_postgres(plan[0]["Plan"], begins_with)]
        return found

    prepared = dict(STATEMENTS)
    connection = await connect(url, server_settings=PLANS)
    try:
        for name, statement in STATEMENTS.items():
            await connection.execute(f"PREPARE {name} AS {statement.postgres}")
        types = dict(await connection.fetch("SELECT name, parameter_types::text[] FROM pg_prepared_statements"))
        for name, statement in STATEMENTS.items():
            if takes_many(statement):
                await connection.execute(f"PREPARE {name}_for_many AS {for_many(statement, types[name])}")
                prepared[f"{name}_for_many"] = statement
        yield connection, explain
    finally:
        await connection.close()


def strays(found: dict[str, list[Way]]) -> dict[str, list[Way]]:
    """Return the statements that come to their rows another way than they should."""

    def right(name: str, ways: list[Way]) -> bool:
        hows = {way.how for way in ways} - ({"range"} if name in IN_ORDER else set())
        return hows <= {"key"} and {way.by for way in ways} - {""} == BY_INDEX.get(name, set())

    named = {name: (name.removesuffix("_for_many"), ways) for name, ways in found.items()}
    return {name: ways for name, (of, ways) in named.items() if of not in WHOLE and not right(of, ways)}


async def lived_in(database: Database) -> None:
    """Fill it with enough rows that a plan matters, also of what is open at the moment."""
    await fill(database.url, 2_000)
    for sql in OPEN:
        await database.look(sql)
    if database.kind == "postgresql":  # nobody tells SQLite how many rows there are
        await database.look("ANALYZE")


@pytest.mark.parametrize("rows", ["no rows", "many rows"])
async def test_each_statement_finds_its_rows_by_an_index(database: Database, rows: str) -> None:
    """By the key that an index begins with; a connection keeps its plans, also those made when all was still empty."""
    async with database.open(service=False):
        pass
    if rows == "many rows":
        await lived_in(database)
    async with (on_sqlite if database.kind == "sqlite" else on_postgres)(database.url) as (_, explain):
        found = await explain()
    assert strays(found) == {}


async def test_an_index_that_is_missing_on_sqlite_is_noticed(sqlite: Database) -> None:
    """The check can fail: without any one index of the schema, some statement looks at too much."""
    await lived_in(sqlite)
    async with on_sqlite(sqlite.url) as (connection, explain):
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        indexes = {str(row[0]) for row in rows}
        unnoticed: set[str] = set()
        for index in indexes:
            connection.execute("BEGIN")
            connection.execute(f"DROP INDEX {index}")
            with contextlib.suppress(sqlite3.OperationalError):  # a statement that can't do without is noticed too
                unnoticed |= set() if strays(await explain()) else {index}
            connection.execute("ROLLBACK")
    assert (unnoticed, len(indexes) > 10) == ({*FINDS_NOTHING}, True)


async def test_an_index_that_is_missing_on_postgresql_is_noticed(postgres: Database) -> None:
    """As on SQLite, though it makes do with whatever other index there is."""
    await lived_in(postgres)
    async with on_postgres(postgres.url) as (connection, explain):
        rows = await connection.fetch(
            "SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_class c ON c.oid = indrelid "
            "WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary"
        )
        indexes = {str(row["name"]) for row in rows}
        unnoticed: set[str] = set()
        for index in indexes:
            await connection.execute(f"BEGIN; DROP INDEX {index}")
            with contextlib.suppress(asyncpg.PostgresError):
                unnoticed |= set() if strays(await explain()) else {index}
            await connection.execute("ROLLBACK")
    assert (unnoticed, len(indexes) > 10) == ({*FINDS_NOTHING}, True)
