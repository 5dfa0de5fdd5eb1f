"""Asking Stripe: what is pending is settled soon, through outages, restarts and answers that come too late."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from interlock.engine.interlock import Interlock
from tests.engine.bench import Bench, eventually
from tests.engine.conftest import SECRET, make_config
from tests.kit.bodies import DELETED, UPDATED, Bill, Sub, body_of, event, fresh, signed
from tests.kit.stripe import StandIn

pytestmark = pytest.mark.anyio


async def test_a_pending_event_is_settled_within_three_seconds(tmp_path: Path) -> None:
    """`pending` is settled within 3 s while Stripe answers: a lone invoice of a subscription never seen."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        (paid,) = [told for told in await bench.events(sub["id"]) if told["type"] == "invoice.paid"]
        assert await bench.deliver(paid) == ["pending"]
        await bench.settled(within=3.0)
        state = await bench.state()
        assert (state["state"], state["subscription_id"]) == ("active", sub["id"])
        entries = [(entry["outcome"], entry["source"]) for entry in await bench.history()]
        assert entries == [("pending", "webhook"), ("applied", "webhook")]


async def test_a_burst_about_one_subscription_makes_one_call(tmp_path: Path) -> None:
    """Thirty doubtful events at once are not thirty questions to Stripe, and all of them are decided by its answer."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        (paid,) = [told for told in await bench.events(sub["id"]) if told["type"] == "invoice.paid"]
        twins = [paid | {"id": fresh("evt")} for _ in range(30)]
        outcomes = await asyncio.gather(*(bench.deliver(twin) for twin in twins))
        assert [outcome for (outcome,) in outcomes] == ["pending"] * 30
        await bench.settled()
        assert (await bench.engine.metrics())["interlock_stripe_questions_total"] <= 2, (
            "a busy machine may need a second"
        )
        last = {entry["event_id"]: entry["outcome"] for entry in await bench.history()}
        assert len(last) == 30
        assert sorted(set(last.values())) == ["applied", "stale"]


async def test_while_stripe_is_away_nothing_is_given_up(tmp_path: Path) -> None:
    """Stripe down: still 200 and `pending`.  Stripe back: settled within 20 s, with no event sent again."""
    async with Bench(tmp_path) as bench:
        subs = [await bench.subscribe(f"u_{number}") for number in range(12)]
        await bench.fault("subscriptions/", status=503, times=10_000)
        late = [event(UPDATED, sub | {"status": "strange"}) for sub in subs]
        assert set(await bench.deliver(*late)) == {"pending"}

        async def failed() -> bool:
            return (await bench.engine.metrics())["interlock_stripe_failures_total"] > 0

        await eventually(failed, within=20.0)
        assert await bench.questions() == 12
        assert (await bench.engine.metrics())["interlock_stripe_questions_total"] < 30, "no storm while it is away"
        await bench.panel("faults", clear=True)
        await bench.settled(within=20.0)
        assert {(await bench.state(f"u_{number}"))["state"] for number in range(12)} == {"active"}


@pytest.mark.parametrize("fault", [{"garbage": True}, {"reset": True}, {"status": 429}, {"lost": True}], ids=str)
async def test_an_answer_that_is_none_is_asked_for_again(tmp_path: Path, fault: dict[str, object]) -> None:
    """Garbage, a reset, "slow down": no answer, and the question stands."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        (paid,) = [told for told in await bench.events(sub["id"]) if told["type"] == "invoice.paid"]
        await bench.fault("subscriptions/", **fault)
        assert await bench.deliver(paid) == ["pending"]
        await bench.settled(within=5.0)
        assert (await bench.state())["state"] == "active"


async def test_an_answer_that_was_overtaken_is_asked_for_again(tmp_path: Path) -> None:
    """The fence, over real HTTP: Stripe's slow answer is older than an event that came meanwhile."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        (paid,) = [told for told in await bench.events(sub["id"]) if told["type"] == "invoice.paid"]
        await bench.fault("subscriptions/", slow=1.0)
        assert await bench.deliver(paid) == ["pending"]
        await asyncio.sleep(0.5)  # the answer is read at Stripe, and on its way
        await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        (deleted,) = [told for told in await bench.events(sub["id"]) if told["type"] == DELETED]
        assert await bench.deliver(deleted) == ["applied"]
        seen = {(await bench.state())["state"]}
        while await bench.questions():
            seen.add((await bench.state())["state"])
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert seen | {(await bench.state())["state"]} == {"canceled"}, "the state never goes back and forth"


async def test_a_living_answer_that_was_overtaken_is_asked_for_again(tmp_path: Path) -> None:
    """The same between living states: the older read never shows, not for a moment."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        created, paid = [
            told
            for told in await bench.events(sub["id"])
            if told["type"] in ("customer.subscription.created", "invoice.paid")
        ]
        assert "applied" in await bench.deliver(created)
        await bench.fault("subscriptions/", slow=1.0)
        tie = event(UPDATED, created["data"]["object"] | {"status": "past_due"}, created=created["created"])
        assert await bench.deliver(tie) == ["pending"]
        await asyncio.sleep(0.5)
        await bench.ask("POST", f"subscriptions/{sub['id']}", cancel_at_period_end="true")
        *_, update = [told for told in await bench.events(sub["id"]) if told["type"] == UPDATED]
        await bench.deliver(update, paid)
        await bench.settled(within=5.0)
        state = await bench.state()
        assert (state["state"], state["access"]["reason"]) == ("active", "ending")


async def test_a_subscription_that_stripe_does_not_know_is_given_up(tmp_path: Path) -> None:
    """404: failed, kept for replay, and never asked about again."""
    async with Bench(tmp_path) as bench:
        told = event("customer.created", {"id": "cus_1", "object": "customer", "metadata": {"user_id": "u_1"}})
        await bench.deliver(told)
        assert await bench.deliver(event(UPDATED, Sub(status="strange").json())) == ["pending"]
        await bench.settled()
        assert [entry["outcome"] for entry in await bench.history()][-1] == "failed"
        asked = (await bench.engine.metrics())["interlock_stripe_questions_total"]
        await asyncio.sleep(0.5)
        assert (await bench.engine.metrics())["interlock_stripe_questions_total"] == asked


async def test_a_question_survives_a_restart(tmp_path: Path) -> None:
    """The service stops between the question and its answer: whoever starts next asks again, at once."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        (paid,) = [told for told in await bench.events(sub["id"]) if told["type"] == "invoice.paid"]
        await bench.fault("subscriptions/", slow=2.0)
        assert await bench.deliver(paid) == ["pending"]
        await asyncio.sleep(0.4)
        await bench.restart()
        assert await bench.questions() == 1
        await bench.settled(within=3.0)
        assert (await bench.state())["state"] == "active"


@pytest.mark.usefixtures("misfits_meant")
async def test_answers_that_nobody_can_read_hold_up_no_others(tmp_path: Path) -> None:
    """Subscriptions of a shape that is not understood are asked about again and again; the others within 3 s."""
    stripe = StandIn()
    engine = await Interlock.open(make_config(tmp_path, stripe_base=stripe.url))
    try:
        odd = [Sub(id=f"sub_odd{number}", customer=f"cus_{number}", user=f"u_odd{number}") for number in range(20)]
        stripe.is_now(*(sub.json() | {"items": None} for sub in odd))

        async def deliver(sub: Sub) -> None:
            body = body_of(event("invoice.paid", Bill(subscription=sub.id, status="paid").json()))
            receipt = await engine.receive(body, signed(body, SECRET, time.time()).encode())
            assert receipt.outcome.value == "pending"

        for sub in odd:
            await deliver(sub)
        await asyncio.sleep(2)
        good = Sub(id="sub_good", customer="cus_good", user="u_good")
        stripe.is_now(good)
        await deliver(good)

        async def settled() -> bool:
            return b'"active"' in (await engine.state("u_good")).body

        await eventually(settled, within=3.0)
    finally:
        await engine.close()
        stripe.close()
