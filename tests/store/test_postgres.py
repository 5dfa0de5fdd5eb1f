"""What only PostgreSQL has: several processes on it, connections that break, settings that somebody else chose."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from interlock.engine.errors import BadConfiguration, StoreUnavailable
from interlock.engine.store.opening import open_store
from interlock.engine.store.postgres.news import CHANNEL
from interlock.engine.store.postgres.store import PostgresStore
from interlock.engine.units import records
from interlock.engine.units.projection import touch
from interlock.engine.units.records import Customer
from tests.store.conftest import Database, inbox_on
from tests.store.life import Timeline, five_events, held, many
from tests.tools.postgres import Server, connect

pytestmark = pytest.mark.anyio


async def until(true: Any, seconds: float = 5) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def listening(database: Database, nodes: int) -> None:
    """Wait until so many nodes listen."""
    for _ in range(200):
        rows = await database.look("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%'"
                                   " AND datname = current_database() AND state = 'idle'")  # fmt: skip
        if rows == [(nodes,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("they do not listen")


async def end_connections(database: Database) -> None:
    """End every connection of Interlock's, as a restarting primary does."""
    await database.look("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'interlock'")


async def test_the_same_events_at_two_nodes_at_once_end_at_the_truth(postgres: Database) -> None:
    """Two nodes take the same events at the same moments: each is applied once, and none is refused for the other."""
    lives = [five_events(f"n{number}") for number in range(15)]
    timeline = Timeline([life for life, _ in lives])
    async with postgres.open() as here, postgres.open() as there:
        inboxes = [(store, inbox_on(store)) for store in (here, there)]
        bodies = [body for _, told in lives for body in told]
        await asyncio.gather(*(inbox.submit(body) for body in bodies for _, inbox in inboxes))
        await asyncio.gather(*(timeline.answer_all(store, inbox) for store, inbox in inboxes))
        await timeline.answer_all(here, inboxes[0][1])
        for life, _ in lives:
            known = await there.read(lambda life=life: held(life.sub.id))
            assert known.facts == timeline.facts(life.sub.id)
        assert sum(inbox.counts["duplicate"] for _, inbox in inboxes) == len(bodies)


async def test_units_that_wait_in_a_circle_are_both_done(postgres: Database) -> None:
    """PostgreSQL ends one of two that wait for each other; it starts anew, and its caller hears nothing of it."""

    def lock(first: str, second: str) -> Any:
        yield from records.save_customer(Customer(first, "u"))
        yield from records.customer(first)
        yield from records.save_customer(Customer(second, "u"))

    async with postgres.open() as store:
        pairs = [pair for n in range(3) for pair in ((f"a{n}", f"b{n}"), (f"b{n}", f"a{n}"))]
        await asyncio.gather(*(store.write(lambda pair=pair: lock(*pair)) for pair in pairs))
    assert await postgres.look("SELECT count(*) FROM customer") == [(6,)]


async def test_a_user_is_drawn_of_what_the_one_before_stored(postgres: Database) -> None:
    """Whoever waits for a user's row reads the subscriptions after it has it: none that was just stored is left out."""
    (_, first), (newer, second) = five_events("d1", "u_drawn"), five_events("d2", "u_drawn")
    async with postgres.open() as store:
        inbox = inbox_on(store)
        await inbox.submit(first[0])
        connection = await connect(postgres.url)
        try:
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM users WHERE user_id = 'u_drawn' FOR UPDATE")
                await connection.execute(
                    "INSERT INTO subscription SELECT replace(subscription_id, 'd1', 'd2'), customer_id, user_id, "
                    "state, as_of, evidence, since, unpaid_since, unknown_status, "
                    "convert_to(replace(convert_from(facts, 'UTF8'), 'd1', 'd2'), 'UTF8') FROM subscription"
                )
                drawing = asyncio.create_task(inbox.run(lambda unit: touch("u_drawn", unit)))
                await asyncio.sleep(0.3)
                assert not drawing.done()
        finally:
            await connection.close()
        await drawing
        user = await store.read(lambda: records.user("u_drawn"))
        assert user is not None
        assert newer.sub.id in (user.shown or b"").decode()
        assert (await inbox.submit(second[0])).outcome == "unchanged"


async def test_a_connection_that_broke_is_replaced(postgres: Database) -> None:
    """Connections that the server ended while nothing went on cost nobody anything."""
    async with postgres.open() as store:
        for number in range(30):
            await store.write(lambda number=number: many(("memo_put", (f"a{number}", "x"))))
        await end_connections(postgres)
        await asyncio.sleep(0.2)
        for number in range(30):
            await store.write(lambda number=number: many(("memo_put", (f"b{number}", "x"))))
            assert await store.read(lambda: many(("memo_get", ("a1",)))) == [("x",)]


async def test_a_server_that_is_gone_is_told_at_once(server: Server, postgres: Database) -> None:
    """Whoever writes while the database is away hears of it in a few seconds, and the next that come at once."""
    async with postgres.open() as store:
        await store.write(lambda: many(("memo_put", ("a", "x"))))
        database = postgres.url.partition("@/")[2].partition("?")[0]
        await server.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        await end_connections(Database("postgresql", server.url()))
        begun = time.monotonic()
        jobs = (store.write(lambda: many(("memo_put", ("b", "x")))) for _ in range(50))
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert time.monotonic() - begun < 4
        await server.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        await asyncio.sleep(0.6)
        await store.write(lambda: many(("memo_put", ("c", "x"))))


async def test_what_waits_behind_a_locked_table_is_refused_in_time(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a unit runs while it waits: all are refused in one unit's time, and none is stored afterwards."""
    monkeypatch.setattr("interlock.engine.store.postgres.store.JOB_SECONDS", 2.0)
    monkeypatch.setattr("interlock.engine.store.postgres.lane.LEAST_SECONDS", 1.0)
    async with postgres.open() as store:
        await store.write(lambda: many(("memo_put", ("before", "x"))))
        connection = await connect(postgres.url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE memo IN ACCESS EXCLUSIVE MODE")
                begun = time.monotonic()
                writes = (store.write(lambda n=n: many(("memo_put", (f"n{n}", "x")))) for n in range(60))
                reads = (store.read(lambda: many(("memo_get", ("before",)))) for _ in range(30))
                results = await asyncio.gather(*writes, *reads, return_exceptions=True)
                assert {type(result) for result in results} == {StoreUnavailable}
                assert time.monotonic() - begun < 3
        finally:
            await connection.close()
        await store.write(lambda: many(("memo_put", ("after", "x"))))
    assert await postgres.look("SELECT name FROM memo ORDER BY name") == [("after",), ("before",)]


async def test_what_is_done_alone_is_not_kept_by_a_database_that_stands_still(
    server: Server, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep during which the database freezes ends with an error, so that there is a next one."""
    monkeypatch.setattr("interlock.engine.store.postgres.link._ALONE_SECONDS", 0.5)
    async with postgres.open() as store:
        with contextlib.ExitStack() as meanwhile:

            async def sweep() -> None:
                async with asyncio.timeout(20), store.alone("sweep", 60) as mine:
                    assert mine
                    meanwhile.enter_context(server.frozen())

            with pytest.raises(StoreUnavailable):
                await sweep()
        async with store.alone("sweep", 60) as mine:
            assert mine


async def test_what_changes_on_one_node_is_heard_on_the_others(postgres: Database) -> None:
    """Streams live on any node: each hears whose state changed elsewhere, and nothing of its own words."""
    heard: dict[str, list[list[str] | None]] = {"here": [], "there": []}

    def listener(name: str) -> Any:
        def note(users: Iterable[str] | None) -> None:
            heard[name].append(None if users is None else sorted(users))

        return note

    async with postgres.open() as here, postgres.open() as there:
        here.on_foreign_change, there.on_foreign_change = listener("here"), listener("there")
        await listening(postgres, 2)
        odd = ["u_1", 'u "\n,2', "ü" * 255]
        here.announce(odd)
        await until(lambda: heard["there"])
        assert heard["there"] == [sorted(odd)]
        here.announce(f"{'u' * 200}{number}" for number in range(5_000))  # more than is worth naming: all look
        await until(lambda: len(heard["there"]) == 2)
        assert heard == {"here": [], "there": [sorted(odd), None]}


async def test_a_word_that_may_have_been_missed_makes_everybody_look(postgres: Database) -> None:
    """After its connection was lost a node can't know what was said meanwhile; its streams read again."""
    heard: list[object] = []
    async with postgres.open() as store:
        store.on_foreign_change = heard.append
        await listening(postgres, 1)
        await end_connections(postgres)
        await until(lambda: None in heard)
        heard.clear()
        await postgres.look("SELECT pg_notify($1, $2)", CHANNEL, "no JSON at all")
        await until(lambda: heard == [None])


async def test_the_sweep_is_one_nodes_at_a_time(postgres: Database) -> None:
    """Of all nodes one sweeps; the others find it being done, or just done; one that failed leaves it to the next."""
    async with postgres.open() as here, postgres.open() as there:
        async with here.alone("sweep", 60) as mine, there.alone("sweep", 60) as too:
            assert (mine, too) == (True, False)
        async with there.alone("sweep", 60) as mine:
            assert not mine
        async with there.alone("sweep", 0) as mine:
            assert mine
        with contextlib.suppress(ZeroDivisionError):
            async with here.alone("other", 60) as mine:
                assert mine
                raise ZeroDivisionError
        async with there.alone("other", 60) as mine:
            assert mine


async def test_a_database_that_acknowledges_too_early_is_named_and_made_to_wait(postgres: Database) -> None:
    """`synchronous_commit = off` would lose acknowledged webhooks: it is told, and is on for our connections."""
    database = postgres.url.partition("@/")[2].partition("?")[0]
    await postgres.look(f"ALTER DATABASE {database} SET synchronous_commit = off")
    async with postgres.open() as store:
        assert isinstance(store, PostgresStore)
        assert ["synchronous_commit" in warning for warning in store.warnings] == [True]
        link = await store._connector.connect()  # pyright: ignore[reportPrivateUsage]
        assert await link.raw.fetchval("SHOW synchronous_commit") == "on"
        await link.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:hush@127.0.0.1:1/x", "postgres://u:hush@host:port/x", "postgresql://u:hush@/nope?host={folder}"],
)
async def test_an_address_that_leads_nowhere_is_one_clear_line(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong DATABASE_URL is named, in a few seconds, and its password is not told."""
    monkeypatch.setattr("interlock.engine.store.postgres.connector._START_SECONDS", 0.5)
    with pytest.raises(BadConfiguration, match="DATABASE_URL") as told:
        await open_store(url.format(folder=server.folder), service=True)
    assert "hush" not in str(told.value)


async def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed `interlock[postgres]` is told how, and SQLite needs none of it."""
    for name in [name for name in sys.modules if name.startswith("interlock.engine.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    whole = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "asyncpg":
            raise ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg")
        return whole(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadConfiguration, match=r"pip install 'interlock\[postgres\]'"):
        await open_store("postgresql://localhost/x", service=True)
