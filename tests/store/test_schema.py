"""What the schema itself forbids or orders, and how it comes to be: on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock.engine.errors import BadConfiguration, StoreUnavailable
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.records import Waiting
from tests.store.conftest import Database
from tests.store.life import many

pytestmark = pytest.mark.anyio

Query = tuple[str, tuple[Any, ...]]

EVENT: Query = ("event_insert", ("evt_1", "", "t", 1, 1, "sub_1", "cus_1", "applied", b"x"))
START: Query = ("subscription_start", ("sub_1",))
USER: Query = ("users_ensure", ("u_1",))


def put(state: str, *, subscription_id: str = "sub_1", evidence: int = 1, facts: bytes | None = b"{}") -> Query:
    return "subscription_put", (subscription_id, "cus_1", "u_1", state, 1, evidence, 1, None, None, facts, *(None,) * 4)


def decision(outcome: str = "applied", *, event_id: str | None = "evt_1", source: str = "webhook") -> Query:
    return "decision_insert", (1, event_id, "t", source, "u_1", "sub_1", "update", None, None, outcome, *[None] * 5)


def bill(subscription_id: str = "sub_1", *, attempts: int = 0) -> Query:
    return "bill_put", ("in_1", subscription_id, 1, "open", attempts, None, None, 0, None, None, None, None, 0, 1)


def session(session_id: str, user_id: str = "u_1") -> Query:
    return "checkout_put", (session_id, user_id, "intent", "https://x", 1)


FORBIDDEN: dict[str, tuple[Query, ...]] = {
    "an event twice": (EVENT, EVENT),
    "two applied decisions of one event": (EVENT, decision(), decision()),
    "a decision of no event": (decision(event_id="evt_unknown"),),
    "a decision from nowhere": (decision(event_id=None, source="rumour"),),
    "a bill of no subscription": (bill("sub_unknown"),),
    "a bill tried less than never": (START, bill(attempts=-1)),
    "a state that does not exist": (put("frozen"),),
    "a state without facts": (put("active", facts=None),),
    "facts without a state": (put("none"),),
    "evidence below nothing": (put("active", evidence=-1),),
    "two open checkouts of a user": (USER, session("cs_1"), session("cs_2")),
    "a checkout of nobody": (session("cs_1", "u_unknown"),),
    "an outcome that does not exist": (("event_insert", (*EVENT[1][:7], "maybe", None)),),
    "a customer half deleted": (("customer_put", ("cus_1", None, None, 1, 2)),),
    "a version below nothing": (USER, ("users_show", (-1, b"{}", None, "c", b"[]", 1, None, None, "u_1"))),
}


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_what_must_never_be_is_refused_whole(database: Database, what: str) -> None:
    """The invariants of the house stand in the schema too: a fault in our code can't store what they forbid."""
    async with database.open() as store:
        with pytest.raises(StoreUnavailable):
            await store.write(lambda: many(("memo_put", ("before", "x")), *FORBIDDEN[what]))
        assert await database.look("SELECT name FROM memo") == []
        await store.write(lambda: many(("memo_put", ("after", "x"))))


async def test_an_ended_subscription_never_lives_again(database: Database) -> None:
    """Even a write that forgot to ask `decide` does not bring a canceled subscription back."""
    async with database.open() as store:
        await store.write(lambda: many(put("active"), put("canceled")))
        await store.write(lambda: many(put("active")))
        assert await database.look("SELECT state FROM subscription") == [("canceled",)]
        await store.write(lambda: many(put("canceled", evidence=7)))
        assert await database.look("SELECT state, evidence FROM subscription") == [("canceled", 7)]


async def test_two_decisions_of_an_event_may_stand_but_one_applied(database: Database) -> None:
    """`pending`, then what came of it: that is what a history may hold of one event."""
    async with database.open() as store:
        await store.write(lambda: many(EVENT, decision("pending"), decision("applied")))
    assert await database.look("SELECT outcome FROM decision ORDER BY seq") == [("pending",), ("applied",)]


def put_at(key: str, due_at: int, *, name: str = "") -> Work[None]:
    return records.enqueue("hook", key, due_at, name=name)


def lease(now: int, until: int, limit: int = 8) -> Work[list[tuple[str, str, int]]]:
    jobs = yield from records.lease("hook", now, until, limit)
    return sorted((job.key, job.name, job.attempts) for job in jobs)


async def test_a_job_is_leased_to_one_and_comes_back_when_the_lease_is_over(database: Database) -> None:
    """The lease of a process that dies ends by itself; nobody does what another is doing."""
    async with database.open() as store:
        for key, due in (("sub_0", 1000), ("sub_1", 1001), ("sub_2", 1002), ("sub_2", 5000), ("sub_1", 900)):
            await store.write(lambda key=key, due=due: put_at(key, due))  # the earlier time counts
        assert await store.read(lambda: records.waiting("hook")) == Waiting(900, 3)
        assert await store.read(lambda: records.waiting("question")) == Waiting(None, 0)
        assert await store.write(lambda: lease(1001, 11_000)) == [("sub_0", "", 1), ("sub_1", "", 1)]
        assert await store.write(lambda: lease(1001, 11_000)) == []
        assert await store.write(lambda: lease(1002, 11_000, 1)) == [("sub_2", "", 1)]
        assert await store.read(lambda: records.waiting("hook")) == Waiting(11_000, 3)
        await store.write(lambda: records.postpone("hook", "sub_0", 2_000, error="it was away"))
        await store.write(lambda: records.done("hook", "sub_2"))
        assert await store.write(lambda: lease(10_999, 21_000)) == [("sub_0", "", 2)]
        assert await store.write(lambda: lease(11_000, 21_000)) == [("sub_1", "", 2)]


async def test_jobs_of_one_key_go_in_order_and_a_dead_one_makes_way(database: Database) -> None:
    """The second of a key waits for the first, however early it is due; one given up is there to be looked at."""
    async with database.open() as store:
        for name, due in (("first", 500), ("second", 1), ("third", 1)):
            await store.write(lambda name=name, due=due: put_at("u_1", due, name=name))
        await store.write(lambda: put_at("u_2", 1, name="other"))
        assert await store.write(lambda: lease(1000, 5000)) == [("u_1", "first", 1), ("u_2", "other", 1)]
        assert await store.write(lambda: lease(1000, 5000)) == []
        await store.write(lambda: records.postpone("hook", "u_1", 1, name="first", error="410"))
        await store.write(lambda: records.bury("hook", "u_1", "the endpoint is gone", name="first"))
        (dead,) = await store.read(lambda: records.dead_jobs(10))
        assert (dead.key, dead.name, dead.last_error, dead.dead) == ("u_1", "first", "410", "the endpoint is gone")
        assert await store.write(lambda: lease(1000, 5000)) == [("u_1", "second", 1)]
        await store.write(lambda: records.done("hook", "u_1", name="second"))
        assert await store.write(lambda: lease(1000, 5000)) == [("u_1", "third", 1)]
        await store.write(lambda: put_at("u_1", 900, name="first"))  # asked for again: it lives again
        assert await store.read(lambda: records.dead_jobs(10)) == []


async def test_many_workers_at_once_share_the_jobs(database: Database) -> None:
    """However many ask for work at the same moment, each job goes to exactly one of them."""
    async with database.open() as store:
        for n in range(100):
            await store.write(lambda n=n: put_at(f"sub_{n}", 1))
        got = [
            job
            for jobs in await asyncio.gather(*(store.write(lambda: lease(10, 1000)) for _ in range(20)))
            for job in jobs
        ]
        got += await store.write(lambda: lease(10, 1000, 100))
    assert sorted(key for key, _, _ in got) == sorted(f"sub_{n}" for n in range(100))


async def test_the_schema_is_made_once_however_many_open_it(database: Database) -> None:
    """Nodes that start together find one schema; one makes it, the others wait for that."""

    async def use(number: int) -> None:
        async with database.open(service=False) as store:
            await store.write(lambda: many(("memo_put", (f"n{number}", "x"))))

    await asyncio.gather(*(use(number) for number in range(6)))
    assert await database.look("SELECT count(*) FROM memo") == [(6,)]
    assert await database.look("SELECT min(number), count(DISTINCT number) = count(*) FROM schema_step") == [(1, True)]


async def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    """An old program does not write into a schema that it does not know."""
    async with database.open():
        pass
    await database.look("INSERT INTO schema_step (number, name, checksum) VALUES (9999, 'later', 'x')")
    with pytest.raises(BadConfiguration, match="newer than this program"):
        async with database.open():
            pass


async def test_a_changed_migration_is_refused(database: Database) -> None:
    """What was applied is what the program ships, or it does not start."""
    async with database.open():
        pass
    await database.look("UPDATE schema_step SET checksum = 'another' WHERE number = 1")
    with pytest.raises(BadConfiguration, match="differs from this program's"):
        async with database.open():
            pass


async def test_old_payloads_are_dropped_a_few_at_a_time(database: Database) -> None:
    """Millions that grow old at once keep no webhook waiting; what is still to be decided keeps its payload."""
    old = [("event_insert", (f"evt_{n}", "", "t", 1, n, None, None, "applied", b"x")) for n in range(700)]
    kept = ("event_insert", ("evt_pending", "", "t", 1, 1, "sub_1", None, "pending", b"x"))
    new = ("event_insert", ("evt_new", "", "t", 1, 5_000, None, None, "applied", b"x"))
    async with database.open() as store:
        await store.write(lambda: many(*old, kept, new))
        forget = [len(await store.write(lambda: many(("event_forget_payloads", (5_000,))))) for _ in range(3)]
    assert forget == [500, 200, 0]
    rows = await database.look("SELECT event_id FROM event WHERE payload IS NOT NULL ORDER BY event_id")
    assert rows == [("evt_new",), ("evt_pending",)]
