"""What a store promises, whichever database it stands on: every test here runs on both."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest

from interlock.engine.core.states import Outcome, Subscription
from interlock.engine.errors import BadEvent, StoreUnavailable
from interlock.engine.store import Work
from interlock.engine.store.postgres import lane as postgres
from interlock.engine.store.sqlite import store as sqlite
from interlock.engine.units import records
from interlock.engine.units.records import StoredSubscription
from tests.kit.bodies import Bill, body_of, event
from tests.store.conftest import Database, inbox_on
from tests.store.life import NOW, Timeline, five_events, held, many

pytestmark = pytest.mark.anyio
YEAR_9999 = 253_402_300_799


def note(name: str, value: str) -> Work[None]:
    """The smallest unit of work that writes."""
    yield from records.save_memo(name, value)


def noted(name: str) -> Work[str | None]:
    return (yield from records.memo(name))


def count_one(subscription_id: str) -> Work[int]:
    """Read a subscription and write it with one more piece of evidence."""
    found = yield from records.subscription(subscription_id)
    known = found.known
    counted = Subscription(subscription_id=subscription_id, evidence=known.evidence + 1)
    yield from records.save_subscription(StoredSubscription(counted, None))
    return known.evidence + 1


async def test_what_was_written_is_there_after_the_store_is_opened_again(database: Database) -> None:
    """A write that returned is durable: it outlives the process that made it."""
    async with database.open() as store:
        await store.write(lambda: note("kept", "yes"))
    async with database.open() as store:
        assert await store.read(lambda: noted("kept")) == "yes"


async def test_a_read_sees_every_write_that_returned_before_it(database: Database) -> None:
    """Readers have other connections than writers, and are never behind them."""
    async with database.open() as store:
        for number in range(20):
            await store.write(lambda number=number: note("n", str(number)))
            assert await store.read(lambda: noted("n")) == str(number)


async def test_a_unit_that_fails_leaves_nothing_and_its_neighbours_stay(database: Database) -> None:
    """Units that wait together are committed together, and still each stands or falls alone."""

    def fails(number: int) -> Work[None]:
        yield from note(f"half {number}", "written before the fault")
        if number % 2:
            raise BadEvent("a fault of its own")
        yield from many(("decision_insert", (0, "evt_none", None, "webhook", *[None] * 5, "applied", *[None] * 5)))

    async with database.open() as store:
        good = [store.write(lambda n=n: note(f"good {n}", "yes"), about=(f"g{n}",)) for n in range(10)]
        bad = [store.write(lambda n=n: fails(n), about=(f"b{n}",)) for n in range(10)]
        mixed = [job for pair in zip(good, bad, strict=True) for job in pair]
        results = await asyncio.gather(*mixed, return_exceptions=True)
    assert [type(result) for result in results[1::2]] == [StoreUnavailable, BadEvent] * 5
    assert results[0::2] == [None] * 10
    assert {row[0] for row in await database.look("SELECT name FROM memo")} == {f"good {n}" for n in range(10)}


async def test_a_caller_that_is_cancelled_leaves_its_unit_whole_or_not_at_all(database: Database) -> None:
    """Callers hold no transaction: one that goes away in the middle leaves none open, and no half."""

    def both(number: int) -> Work[None]:
        yield from note(f"a{number}", "1")
        yield from note(f"b{number}", "1")

    async with database.open() as store:
        jobs = [asyncio.create_task(store.write(lambda n=n: both(n))) for n in range(40)]
        for turn, job in enumerate(jobs):
            if turn % 3 == 0:
                await asyncio.sleep(0.001)
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.wait_for(store.write(lambda: note("after", "1")), 5)
        written = {row[0] for row in await database.look("SELECT name FROM memo")}
    assert "after" in written
    assert all((f"a{n}" in written) == (f"b{n}" in written) for n in range(40))


async def test_writers_on_one_subscription_lose_no_evidence(database: Database) -> None:
    """The count of evidence is the fence of every answer: each writer sees what the one before it wrote."""
    async with database.open() as store:
        counts = await asyncio.gather(
            *(store.write(lambda: count_one("sub_new"), about=("sub_new",)) for _ in range(60))
        )
        assert sorted(counts) == list(range(1, 61))
        assert (await store.write(lambda: held("sub_new"))).evidence == 60


async def test_closing_commits_what_waits(database: Database) -> None:
    """A service that stops finishes what it began."""
    async with database.open() as store:
        jobs = [asyncio.create_task(store.write(lambda n=n: note(f"n{n}", "1"))) for n in range(30)]
        await asyncio.sleep(0)
    await asyncio.gather(*jobs)
    assert len(await database.look("SELECT name FROM memo")) == 30


async def test_more_than_can_wait_is_refused_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded, and who finds it full is told to come back, not kept."""
    monkeypatch.setattr(sqlite, "MOST_WAITING", 10)
    monkeypatch.setattr(postgres, "MOST_WAITING", 10)
    async with database.open() as store:
        jobs = (store.write(lambda n=n: note(f"n{n}", "1")) for n in range(200))
        results = await asyncio.gather(*jobs, return_exceptions=True)
        written = len(await database.look("SELECT name FROM memo"))
    kinds = Counter(type(result) for result in results)
    assert kinds[StoreUnavailable] > 100
    assert kinds[type(None)] == written > 0


async def test_the_same_event_many_times_at_once_is_applied_once(database: Database) -> None:
    """At least once from Stripe is exactly once here, also when all its copies come together."""
    life, bodies = five_events()
    async with database.inbox() as inbox:
        receipts = await asyncio.gather(*(inbox.submit(bodies[0]) for _ in range(24)))
        assert Counter(receipt.outcome for receipt in receipts) == {Outcome.APPLIED: 1, Outcome.DUPLICATE: 23}
    rows = await database.look("SELECT count(*) FROM decision WHERE subscription_id = $1", life.sub.id)
    assert rows == [(1,)]


async def test_every_order_of_a_lifecycle_ends_at_stripes_truth(database: Database) -> None:
    """Five events, each delivered twice, in every order there is: all end where Stripe says, none applied twice."""
    rng = random.Random(5)
    orders = list(permutations(range(5)))
    told = [five_events(f"p{number}") for number in range(len(orders))]
    timeline = Timeline([life for life, _ in told])
    async with database.open() as store:
        inbox = inbox_on(store)

        async def deliver(order: tuple[int, ...], bodies: list[bytes]) -> None:
            again = list(order)
            rng.shuffle(again)
            for first, second in zip(order, again, strict=True):
                await asyncio.gather(inbox.submit(bodies[first]), inbox.submit(bodies[second]))

        lanes = [deliver(order, bodies) for order, (_, bodies) in zip(orders, told, strict=True)]
        await asyncio.gather(*lanes, *(timeline.answer_all(store, inbox) for _ in range(3)))
        await timeline.answer_all(store, inbox)
        for life, _ in told:
            known = await store.read(lambda life=life: held(life.sub.id))
            assert known.facts == timeline.facts(life.sub.id)
    assert await database.look("SELECT count(*) FROM event") == [(600,)]
    open_ones = "SELECT count(*) FROM event WHERE outcome IN ('pending', 'unlinked')"
    assert await database.look(open_ones) == [(0,)]
    assert await database.look("SELECT count(*) FROM queue") == [(0,)]
    assert await database.look("SELECT count(*) FROM users WHERE shown IS NOT NULL") == [(120,)]


async def test_two_subscriptions_of_a_user_that_change_at_once_are_both_shown(database: Database) -> None:
    """Whoever draws a user's state waits for the other who does, and then sees what that one stored."""
    lives = [five_events(f"a{n}", "u_both") for n in range(12)]
    async with database.inbox() as inbox:
        await asyncio.gather(*(inbox.submit(bodies[0]) for _, bodies in lives))
    rows = await database.look("SELECT version, shown FROM users WHERE user_id = 'u_both'")
    newest = max(life.sub.id for life, _ in lives)
    assert newest in bytes(rows[0][1]).decode()


async def test_text_that_a_database_can_not_hold_is_no_fault(database: Database) -> None:
    """A NUL in a text that Stripe signed is evidence like any other: asked about, and never an error."""
    life, bodies = five_events()
    odd = replace(life.sub, status="new\0one")
    bill = Bill(id="in_nul", subscription=odd.id, customer=odd.customer, failure_code="a\0b")
    async with database.inbox() as inbox:
        await inbox.submit(bodies[0])
        for told in (
            event("customer.subscription.updated", odd.json(), created=NOW, id="evt_status"),
            event("invoice.payment_failed", bill.json("2022-11-15"), created=NOW, id="evt_bill"),
        ):
            assert (await inbox.submit(body_of(told))).outcome is Outcome.PENDING


async def test_the_largest_numbers_that_come_through_the_door_are_stored(database: Database) -> None:
    """What the decoder lets in, both databases hold: no number of Stripe's is an error of ours."""
    life, bodies = five_events()
    bill = Bill(id="in_big", subscription=life.sub.id, customer=life.sub.customer, attempts=2**53, created=YEAR_9999,
                finalized_at=YEAR_9999, next_attempt=YEAR_9999)  # fmt: skip
    async with database.inbox() as inbox:
        await inbox.submit(bodies[0])
        told = event("invoice.payment_failed", bill.json(), created=2**53 - 1, id="evt_big")
        assert (await inbox.submit(body_of(told))).outcome is Outcome.PENDING
    rows = await database.look("SELECT attempt_count, failed_at FROM bill WHERE invoice_id = 'in_big'")
    assert rows == [(2**53, 2**53 - 1)]
