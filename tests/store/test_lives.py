"""The lives that people really have, through the store on both databases, each under its kind of CASES."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.core.invoices import Invoice
from interlock.engine.core.states import Outcome
from interlock.engine.units import records
from interlock.engine.units.evidence import MISSING_SECONDS, Reading, take_answer
from interlock.engine.units.prices import count_unknown, look_again, remember
from tests.engine.conftest import Desk, make_config, read
from tests.engine.held import PLANS
from tests.kit.bodies import CREATED, DAY, DELETED, MONTH, T0, Bill, Life, Line, Sub, customer, event
from tests.kit.clock import Clock
from tests.store.conftest import Database

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def desk_on(database: Database, folder: Path, plans: str = PLANS) -> AsyncGenerator[Desk]:
    """A service on this database, whose clock stands at T0 and a minute."""
    clock = Clock(T0 + 60)
    async with database.open() as store:
        yield Desk(store, make_config(folder, clock, catalogue=read_catalogue(plans)), clock)


async def start(desk: Desk) -> None:
    """Do what a service does at its start: remember what the file names, and look again at what it does not."""
    await desk.inbox.run(lambda unit: remember(desk.config.catalogue.named_prices, unit))
    for subscription_id, _ in await desk.store.read(lambda: records.subscriptions_of_unknown_price("")):
        await desk.inbox.run(lambda unit, about=subscription_id: look_again(about, unit))


async def absent(desk: Desk) -> Outcome:
    """Commit that Stripe answered 404 about `sub_1`."""
    evidence = (await desk.known()).evidence
    reading = Reading(subscription_id="sub_1", facts=None, date=0, evidence_at_ask=evidence)
    return await desk.inbox.run(lambda unit: take_answer(reading, unit))


def of(price: str, **changes: Any) -> Sub:
    return Sub(lines=(Line(price=price, **changes),))


async def test_kind_a_what_we_do_not_sell_is_kept_and_seen(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It gives nothing and bars nothing; its price is logged once and counted while it lives."""
    async with desk_on(database, tmp_path) as desk:
        life = Life(of("price_club"))
        with caplog.at_level(logging.WARNING, "interlock"):
            assert (
                await desk.take(life.create(), life.update(T0 + 5, lines=(Line(price="price_club", quantity=2),)))
                == "applied"
            )
        assert [record.message.count("price_club") for record in caplog.records] == [1]
        state = await desk.state()
        assert (state["state"], state["access"]["reason"], state["plan"]) == ("none", "none", None)
        assert state["available_actions"] == ["checkout"]
        assert await desk.store.read(count_unknown) == {"price_club": 1}
        assert [entry["outcome"] for entry in await desk.history()] == ["applied", "applied"]
        await desk.take(life.end(T0 + 9))
        assert await desk.store.read(count_unknown) == {}


async def test_kind_a_the_next_file_may_make_it_ours(database: Database, tmp_path: Path) -> None:
    """A price that was forgotten is named, and its subscribers have their plan at the next start."""
    async with desk_on(database, tmp_path) as desk:
        await desk.take(event(CREATED, of("price_forgotten").json()))
        assert (await desk.state())["state"] == "none"
        named = read_catalogue(PLANS + '[plans.gold]\nname = "Gold"\nalso = ["price_forgotten"]\nsold = false')
        again = desk.with_catalogue(named)
        await start(again)
        state = await again.state()
        assert (state["state"], state["plan"]["key"]) == ("active", "gold")
        assert await again.store.read(count_unknown) == {}


async def test_kind_b_a_lookup_key_that_moves_on_takes_the_plan_from_nobody(database: Database, tmp_path: Path) -> None:
    """The price that `team_monthly` led to stays Team's when Stripe gives the key to another price."""
    async with desk_on(database, tmp_path) as desk:
        team = Life(of("price_1", lookup_key="team_monthly", product="prod_x"))
        await desk.take(team.create())
        await desk.take(team.update(T0 + 5, lines=(Line(price="price_1", product="prod_x"),)))
        state = await desk.state()
        assert (state["plan"]["key"], state["features"]) == ("team", ["projects", "export", "sso"])


async def test_kind_b_a_new_price_in_the_file_takes_the_plan_from_nobody(database: Database, tmp_path: Path) -> None:
    """What the file named before is remembered, also where the plan itself is gone: then it gives access alone."""
    async with desk_on(database, tmp_path) as desk:
        await start(desk)
        await desk.take(event(CREATED, of("price_starter").json()))
        dearer = desk.with_catalogue(read_catalogue(PLANS.replace('"price_starter"', '"price_starter_2027"')))
        await start(dearer)
        assert (await dearer.state())["plan"]["key"] == "starter"
        rest = PLANS[PLANS.index("[plans.pro]") :]
        gone = desk.with_catalogue(read_catalogue(rest))
        await start(gone)
        state = await gone.state()
        assert (state["plan"]["key"], state["access"]["granted"], state["features"]) == (None, True, [])


async def test_kind_c_features_are_the_union_of_what_gives_access(database: Database, tmp_path: Path) -> None:
    """A plan in one subscription, add-ons in another; what ends takes its own away and nothing else."""
    async with desk_on(database, tmp_path) as desk:
        addon = Life(Sub(id="sub_ai", lines=(Line(price="price_ai", quantity=3),)))
        await desk.take(event(CREATED, of("price_pro").json()), addon.create())
        state = await desk.state()
        assert (state["plan"]["key"], set(state["features"])) == ("pro", {"projects", "export", "ai"})
        assert [(one["key"], one["quantity"]) for one in state["addons"]] == [("ai", 3)]
        await desk.take(addon.end(T0 + 9))
        state = await desk.state()
        assert (state["addons"], set(state["features"])) == ([], {"projects", "export"})


async def test_kind_c_a_cut_list_of_items_waits_for_stripe(database: Database, tmp_path: Path) -> None:
    """An event lists only the first items; Stripe's answer lists them all."""
    async with desk_on(database, tmp_path) as desk:
        cut = Sub(lines=(Line(price="price_ai"),), has_more=True)
        assert await desk.take(event(CREATED, cut.json())) == "pending"
        whole = Sub(lines=(Line(price="price_ai"), Line(price="price_pro")))
        assert await desk.answer(whole) is Outcome.APPLIED
        assert (await desk.state())["plan"]["key"] == "pro"


async def test_kind_e_what_stripe_no_longer_has_ends_after_a_second_answer(database: Database, tmp_path: Path) -> None:
    """The first 404 changes nothing, one ten minutes later cancels by `vanish`, and checkout is free again."""
    async with desk_on(database, tmp_path) as desk:
        await desk.take(event(CREATED, of("price_pro").json()))
        assert await absent(desk) is Outcome.FAILED
        assert (await desk.state())["state"] == "active"
        assert await desk.questions() == 1
        desk.clock.at += MISSING_SECONDS - 1
        assert await absent(desk) is Outcome.FAILED
        desk.clock.at += 1
        assert await absent(desk) is Outcome.APPLIED
        state = await desk.state()
        assert (state["state"], state["access"]["granted"]) == ("canceled", False)
        assert "checkout" in state["available_actions"]
        last = (await desk.history())[-1]
        assert (last["trigger"], last["from"], last["to"], last["source"]) == (
            "vanish",
            "active",
            "canceled",
            "reconcile",
        )
        assert await desk.questions() == 0


async def test_kind_e_an_answer_between_two_absences_ends_the_first(database: Database, tmp_path: Path) -> None:
    """Stripe had it after all: the count begins anew."""
    async with desk_on(database, tmp_path) as desk:
        await desk.take(event(CREATED, of("price_pro").json()))
        await absent(desk)
        await desk.answer(of("price_pro"), at=T0 + 90)
        desk.clock.at += MISSING_SECONDS
        assert await absent(desk) is Outcome.FAILED
        assert (await desk.state())["state"] == "active"


async def test_kind_e_what_was_never_seen_is_given_up(database: Database, tmp_path: Path) -> None:
    """An event about a subscription that Stripe does not have, and neither had we: failed, kept for replay."""
    async with desk_on(database, tmp_path) as desk:
        assert await desk.take(event("invoice.paid", Bill(status="paid").json())) == "pending"
        assert await absent(desk) is Outcome.FAILED
        assert await desk.questions() == 0


async def test_kind_f_the_portal_is_that_of_what_is_shown(database: Database, tmp_path: Path) -> None:
    """Left our checkout (customer A, empty), bought by a payment link (customer B): B's portal opens, then A's."""
    async with desk_on(database, tmp_path) as desk:
        await desk.inbox.run(lambda unit: _made_for("u_1", "cus_empty", unit))
        assert "portal" in (await desk.state())["available_actions"]
        await desk.take(event(CREATED, Sub(customer="cus_paid", lines=(Line(price="price_pro"),)).json()))
        assert await database.look("SELECT customer_id FROM users") == [("cus_paid",)]
        await desk.take(event("customer.deleted", customer("cus_paid"), created=T0 + 9))
        assert await database.look("SELECT customer_id FROM users") == [("cus_empty",)]


def _made_for(user_id: str, customer_id: str, unit: Any) -> Any:
    from interlock.engine.units.checkouts import keep_customer

    yield from records.user_locked(user_id)
    yield from keep_customer(user_id, customer_id, unit)


async def test_kind_h_a_date_that_has_passed_is_to_be_asked_about(database: Database, tmp_path: Path) -> None:
    """The end of the trial comes and no event does; after the answer the next date is the period's end."""
    async with desk_on(database, tmp_path) as desk:
        trial = Sub(status="trialing", trial_end=T0 + DAY, lines=(Line(price="price_pro"),))
        await desk.take(event(CREATED, trial.json()))
        due = T0 + DAY + 600
        assert await desk.store.read(lambda: records.subscriptions_to_check(T0 + DAY)) == []
        assert await desk.store.read(lambda: records.subscriptions_to_check(due)) == ["sub_1"]
        await desk.answer(trial, at=due)
        assert await desk.store.read(lambda: records.subscriptions_to_check(due)) == []
        late = T0 + MONTH + 7_200
        assert await desk.store.read(lambda: records.subscriptions_to_check(late)) == ["sub_1"]


async def test_kind_i_a_first_invoice_that_was_given_up_gives_nothing(database: Database, tmp_path: Path) -> None:
    """A bank debit bounced, Stripe voided the invoice and left `active`: no month for nothing."""
    async with desk_on(database, tmp_path) as desk:
        life = Life(of("price_pro"))
        first = {"billing_reason": "subscription_create"}
        failed = Bill(status="open", attempts=1, finalized_at=T0).json() | first
        await desk.take(life.create(), event("invoice.payment_failed", failed, created=T0 + 5))
        await desk.take(event("invoice.voided", Bill(status="void", attempts=1).json() | first, created=T0 + 9))
        access = (await desk.state())["access"]
        assert (access["granted"], access["reason"]) == (False, "payment_failed")
        await desk.take(event("invoice.paid", Bill(id="in_2", status="paid", created=T0 + 20).json(), created=T0 + 20))
        assert (await desk.state())["access"]["granted"] is True


async def test_kind_i_paused_collection_lasts_as_long_as_was_paid(database: Database, tmp_path: Path) -> None:
    """To the end of the last period whose invoice was paid, not of the one that Stripe moves on with."""
    async with desk_on(database, tmp_path) as desk:
        life = Life(of("price_pro"))
        lines = {"lines": {"data": [{"period": {"start": T0, "end": T0 + MONTH}}]}}
        paid = Bill(status="paid").json() | lines
        await desk.take(life.create(), event("invoice.paid", paid, created=T0 + 1))
        await desk.take(life.update(T0 + 5, pause_collection={"behavior": "void", "resumes_at": None}))
        state = await desk.state()
        assert (state["access"]["reason"], state["collection_paused"]) == ("paid", True)
        desk.clock.at = T0 + MONTH
        access = (await desk.state())["access"]
        assert (access["granted"], access["reason"]) == (False, "collection_paused")


async def test_kind_n_why_a_payment_failed_is_shown(database: Database, tmp_path: Path) -> None:
    """The event asks; what the payment says is kept with the attempt that it belongs to."""
    async with desk_on(database, tmp_path) as desk:
        due = Sub(status="past_due", lines=(Line(price="price_pro"),))
        await desk.take(event(CREATED, due.json()))
        await desk.take(event("invoice.payment_failed", Bill(attempts=1, next_attempt=T0 + DAY).json(), created=T0 + 5))
        assert await desk.questions() == 1
        problem = (await desk.state())["payment_problem"]
        assert (problem["code"], problem["next_attempt_at"] is None) == (None, False)
        evidence = (await desk.known()).evidence
        told = Invoice(
            invoice_id="in_1", subscription_id="sub_1", created=T0, status="open", attempt_count=1,
            failure_code="insufficient_funds", failure_attempt=1, next_attempt=T0 + DAY,
        )  # fmt: skip
        reading = Reading(
            subscription_id="sub_1", facts=read(due), date=T0 + 60, evidence_at_ask=evidence, invoices=(told,)
        )
        await desk.inbox.run(lambda unit: take_answer(reading, unit))
        state = await desk.state()
        assert state["payment_problem"]["code"] == "insufficient_funds"
        assert "pay" in state["available_actions"]


async def test_kind_n_a_schedule_is_asked_about(database: Database, tmp_path: Path) -> None:
    """An event names a schedule by its id: what it plans must be read, once."""
    async with desk_on(database, tmp_path) as desk:
        life = Life(of("price_pro"))
        await desk.take(life.create())
        assert await desk.take(life.update(T0 + 5, schedule="sub_sched_1")) == "applied"
        assert await desk.questions() == 1
        await desk.take(event(DELETED, life.sub.json() | {"status": "canceled"}, created=T0 + 9))
        assert (await desk.state())["pending_change"] is None
