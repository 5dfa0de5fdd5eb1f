"""A database that 0.1.0 wrote, with some of everything in it, moves to this program's schema and loses nothing.

`written_by_0_1_0.db` was made by that program from signed webhooks: applied, pending, unlinked and ignored events, a
failed invoice, an ended subscription, a question, an open checkout, a memo.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import msgspec
import pytest

from interlock.engine.core.states import Facts, Outcome
from interlock.engine.errors import BadConfiguration
from interlock.engine.flow.asker import claim
from interlock.engine.store.opening import sqlite_path
from interlock.engine.store.statements import POSTGRES, check_schema, migrations
from interlock.engine.units import records
from interlock.engine.units.records import QUESTION
from tests.kit.bodies import T0, Life, Sub, body_of, event
from tests.store.conftest import Database, inbox_on
from tests.store.life import NOW, Timeline, held
from tests.tools.postgres import connect

pytestmark = pytest.mark.anyio

WRITTEN: Final = Path(__file__).parent / "written_by_0_1_0.db"
KEPT: Final = ("customer", "subscription", "bill", "users", "event", "decision", "checkout", "memo")
Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


def written() -> Rows:
    """Return each table of the old database: its columns, and its rows by its first column."""
    with contextlib.closing(sqlite3.connect(f"file:{WRITTEN}?mode=ro", uri=True)) as database:
        rows: Rows = {}
        for table in (*KEPT, "ask"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            rows[table] = columns, database.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1").fetchall()
        return rows


async def put_old(database: Database) -> None:
    """Give a database the schema and the rows that 0.1.0 wrote."""
    if database.kind == "sqlite":
        shutil.copyfile(WRITTEN, sqlite_path(database.url))
        return
    first = migrations(POSTGRES)[0]
    connection = await connect(database.url)
    try:
        await connection.execute(first.sql)
        await connection.execute("CREATE TABLE schema_step (number bigint PRIMARY KEY, name text, checksum text)")
        await connection.execute(
            "INSERT INTO schema_step VALUES ($1, $2, $3)", first.number, first.name, first.checksum
        )
        for table in ("subscription", "customer", "users", "event", "bill", "decision", "ask", "checkout", "memo"):
            columns, rows = written()[table]
            await connection.copy_records_to_table(table, records=rows, columns=columns)
        await connection.execute("SELECT setval(pg_get_serial_sequence('decision', 'seq'), max(seq)) FROM decision")
    finally:
        await connection.close()


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


async def test_every_row_of_the_old_program_is_there_and_is_our_own(database: Database) -> None:
    """Each old column of each old row is as it was; what is new says that it is our own account's."""
    await put_old(database)
    before = written()
    async with database.open():
        pass
    for table in KEPT:
        columns, rows = before[table]
        assert rows, f"the old database has something of {table}"
        assert plain(await database.look(f"SELECT {', '.join(columns)} FROM {table}")) == plain(rows), table
        if table != "memo":
            assert await database.look(f"SELECT DISTINCT account FROM {table}") == [("",)], table
    _, asked = before["ask"]
    queued = await database.look("SELECT key, due_at, lease_until, attempts FROM queue WHERE kind = 'question'")
    assert plain(queued) == plain(asked)
    steps = await database.look("SELECT number FROM schema_step ORDER BY number")
    assert [row[0] for row in steps] == [step.number for step in migrations(POSTGRES)]


async def test_a_migrated_database_is_like_one_made_anew(sqlite: Database, tmp_path: Path) -> None:
    """Tables, indexes, checks and references are the same, whichever way the schema came about."""
    await put_old(sqlite)
    fresh = Database("sqlite", f"sqlite:///{tmp_path / 'fresh.db'}")
    for each in (sqlite, fresh):
        async with each.open():
            pass
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    assert await sqlite.look(schema) == await fresh.look(schema)
    assert await sqlite.look("PRAGMA foreign_key_check") == []


async def test_work_goes_on_where_the_old_program_left_it(database: Database) -> None:
    """What was pending is asked and settled, a next event is proven by what was stored, an end stays an end."""
    await put_old(database)
    life, gap = Life(Sub()), Life(Sub(id="sub_3", customer="cus_3", user="u_3"))
    life.update(T0 + 90, status="past_due", latest_invoice="in_2")
    gap.update(T0 + 50, cancel_at=T0 + 10**6)
    gap.update(T0 + 60, cancel_at=T0 + 2 * 10**6)
    nobody = Life(Sub(id="sub_4", customer="cus_4", user=None))
    async with database.open() as store:
        runner = inbox_on(store)
        next_one = await runner.submit(body_of(life.update(T0 + 200, status="active")))
        assert next_one.outcome in (Outcome.APPLIED, Outcome.PENDING), "asked about where we now keep more facts"
        late = event(
            "customer.subscription.updated", Sub(id="sub_2", customer="cus_2", user="u_2").json(), created=T0 + 99
        )
        assert (await runner.submit(body_of(late))).outcome is Outcome.REFUSED
        assert await Timeline([life, gap, nobody]).answer_all(store, runner) >= 2
        assert (await store.read(lambda: records.waiting(QUESTION))).count == 0
        assert (await store.write(lambda: held("sub_3"))).facts == Timeline([gap]).facts("sub_3")
        assert await store.write(lambda: claim(NOW * 1000, 8)) == []
    assert await database.look("SELECT count(*) FROM event WHERE outcome = 'pending'") == [(0,)]
    rows = await database.look(
        "SELECT facts, changed FROM decision WHERE outcome = 'applied' AND facts IS NOT NULL ORDER BY seq"
    )
    facts = {msgspec.json.decode(bytes(row[0]), type=Facts).subscription_id: row[1] for row in rows}
    assert "status" in facts["sub_1"].split(",")
    assert "cancel_at" in facts["sub_3"].split(",")
    assert await database.look("SELECT state FROM subscription WHERE subscription_id = 'sub_2'") == [("canceled",)]


OLD_SIGHT: Final = (
    "INSERT INTO event (event_id, type, created, received_at, outcome) VALUES ('evt_old', 't', 1, 1, 'pending')",
    "INSERT INTO subscription (subscription_id, state, as_of, evidence, since) VALUES ('sub_old', 'none', 0, 0, 0) "
    "ON CONFLICT (subscription_id) DO NOTHING",
    "INSERT INTO ask (subscription_id, due_at) VALUES ('sub_old', 1) "
    "ON CONFLICT (subscription_id) DO UPDATE SET due_at = excluded.due_at",
)
"""Statements of 0.1.0, as its node sends them for a webhook about a subscription that it has not seen."""
OLD_READ: Final = "SELECT version, shown, shown_until, catalogue, updated_at FROM users WHERE user_id = 'u_1'"


async def test_an_old_node_beside_a_new_one_reads_and_refuses_what_it_can_not_write(postgres: Database) -> None:
    """During a rolling restart: an old node's webhook fails whole, so Stripe sends it again and a new node takes it."""
    await put_old(postgres)
    old = await connect(postgres.url)
    try:
        shown = await old.fetchrow(OLD_READ)
        async with postgres.open() as store:
            assert await old.fetchrow(OLD_READ) == shown, "readers of the old node notice nothing"
            for refused in OLD_SIGHT[1:]:
                with pytest.raises(asyncpg.PostgresError):
                    await old.execute(f"BEGIN; {OLD_SIGHT[0]}; {refused}; COMMIT")
                await old.execute("ROLLBACK")
            assert await postgres.look("SELECT count(*) FROM event WHERE event_id = 'evt_old'") == [(0,)]
            told = Life(Sub(id="sub_old", customer="cus_old", user="u_old")).create() | {"id": "evt_old"}
            assert (await inbox_on(store).submit(body_of(told))).outcome is Outcome.APPLIED
    finally:
        await old.close()
    applied = dict(await postgres.look("SELECT number, checksum FROM schema_step"))
    with pytest.raises(BadConfiguration, match="newer than this program"):
        check_schema(applied, {1: applied[1]})  # an old node that starts again is told so
