"""Moving house: every row arrives, whichever way, also when it was interrupted, and never over other data."""

from __future__ import annotations

import asyncio
import sys

import pytest

from interlock.engine.errors import BadConfiguration
from interlock.engine.operate.bulk import KEYS
from interlock.engine.operate.move import MoveFailed, MoveReport, move
from tests.kit.settings import ROOT
from tests.store.conftest import Database, inbox_on
from tests.store.life import Timeline, five_events, many
from tests.tools.fill import fill

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough that a small database has many."""
    monkeypatch.setattr("interlock.engine.operate.move.PAGE", 200)


@pytest.fixture
def target(database: Database, sqlite: Database, postgres: Database) -> Database:
    """The other kind of database."""
    return postgres if database.kind == "sqlite" else sqlite


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


async def lived_in(database: Database) -> None:
    """Fill a database with some of everything: histories, pending questions, an open checkout, a memo."""
    await fill(database.url, 150)
    lives = [five_events(f"m{n}") for n in range(6)]
    async with database.open() as store:
        inbox = inbox_on(store)
        for _, bodies in lives:
            await asyncio.gather(*(inbox.submit(body) for body in reversed(bodies)))
        await Timeline([life for life, _ in lives]).answer_all(store, inbox)
        await inbox.submit(five_events("late")[1][2])  # stays pending
        session = ("cs_1", "u_m1", "intent", "https://x", 5)
        await store.write(lambda: many(("checkout_put", session), ("memo_put", ("events_listed_to", "evt_1"))))


async def counts(database: Database) -> dict[str, int]:
    return {table: (await database.look(f"SELECT count(*) FROM {table}"))[0][0] for table in KEYS}


async def test_every_row_arrives_in_the_other_kind_of_database(database: Database, target: Database) -> None:
    """What is copied is counted and digested on both sides, and the service goes on where it was."""
    await lived_in(database)
    seen: list[tuple[str, str, int, int]] = []

    def note(doing: str, table: str, done: int, total: int) -> None:
        seen.append((doing, table, done, total))

    report = await move(database.url, target.url, note)
    assert {table.table: table.rows for table in report.tables} == await counts(database) == await counts(target)
    assert report.copied == sum(table.rows for table in report.tables)
    assert {step[0] for step in seen} == {"copying", "checking"}
    assert all(done <= total for _, _, done, total in seen)
    highest = (await target.look("SELECT max(seq) FROM decision"))[0][0]
    life, bodies = five_events("after")
    async with target.inbox() as inbox:
        await inbox.submit(bodies[0])
    rows = await target.look("SELECT seq FROM decision WHERE subscription_id = $1", life.sub.id)
    assert [row[0] > highest for row in rows] == [True]


async def test_a_move_that_was_interrupted_goes_on(database: Database, target: Database) -> None:
    """Begun again it copies what is missing, and a whole move repeated copies nothing."""
    await lived_in(database)
    calls = 0

    def interrupt(doing: str, table: str, done: int, total: int) -> None:
        nonlocal calls
        calls += table == "event"
        if calls == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        await move(database.url, target.url, interrupt)
    whole = sum((await counts(database)).values())
    there = sum((await counts(target)).values())
    assert 0 < there < whole
    report = await move(database.url, target.url)
    assert report.copied <= whole - there + 1  # the bookmark was counted as a row above
    again: MoveReport = await move(database.url, target.url)
    assert again == MoveReport(report.tables, 0)


async def test_a_target_with_other_data_is_refused(database: Database, target: Database) -> None:
    """A move never mixes two databases, and leaves the one that is there as it is."""
    await lived_in(database)
    async with target.inbox() as inbox:
        await inbox.submit(five_events("resident")[1][0])
    before = await counts(target)
    with pytest.raises(BadConfiguration, match="other data"):
        await move(database.url, target.url)
    assert await counts(target) == before


async def test_a_source_that_changed_meanwhile_is_found_out(database: Database, target: Database) -> None:
    """A service that ran between two parts of a move is noticed at the end, not in production."""
    await lived_in(database)
    calls = 0

    def interrupt(doing: str, table: str, done: int, total: int) -> None:
        nonlocal calls
        calls += table == "decision"
        if calls == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        await move(database.url, target.url, interrupt)
    await database.look("UPDATE users SET version = version + 1 WHERE user_id = 'user-00000001'")
    with pytest.raises(MoveFailed, match="users"):
        await move(database.url, target.url)


async def test_a_database_that_is_served_is_not_moved(database: Database, target: Database) -> None:
    """What is copied while it changes is not a copy: a running service on either side is named."""
    moves = f"asyncio.run(move({database.url!r}, {target.url!r}))"
    asks = f"import asyncio; from interlock.engine.operate.move import move; {moves}"
    async with database.open():
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-c", asks, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, said = await command.communicate()
    assert command.returncode == 1
    assert b"another interlock service runs" in said or b"still connected" in said


async def test_every_table_is_moved(database: Database) -> None:
    """A table that a later schema adds must be named among those that are moved."""
    async with database.open():
        pass
    tables = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    }
    assert {row[0] for row in await database.look(tables[database.kind])} == {*KEYS, "schema_step"}


async def test_a_source_that_is_not_there_is_named(sqlite: Database, postgres: Database) -> None:
    """A mistyped path does not make an empty database and move that."""
    with pytest.raises(BadConfiguration, match="no such file"):
        await move(sqlite.url, postgres.url)
