"""The inbox on a real SQLite file: what each event does to what its users see, and what is written down of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.core.states import Outcome
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import BadEvent, BadSignature
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.units.projection import touch
from tests.engine.conftest import SECRET, Desk
from tests.kit.bodies import (
    CREATED,
    DAY,
    DELETED,
    MONTH,
    T0,
    UPDATED,
    Bill,
    Life,
    Line,
    Obj,
    Sub,
    body_of,
    customer,
    event,
    session,
    signed,
)
from tests.kit.settings import PLANS

pytestmark = pytest.mark.anyio


def steps(history: list[Obj]) -> list[tuple[str | None, str, str | None, str | None]]:
    return [(entry["trigger"], entry["outcome"], entry["from"], entry["to"]) for entry in history]


# --- one event after another -----------------------------------------------------------------------------


async def test_a_life_in_order_is_applied_without_a_question(desk: Desk) -> None:
    """The fast path: trial → active → past_due → active → cancelled later → canceled, Stripe never asked."""
    life = Life(Sub(status="trialing", trial_end=T0 + DAY))
    life.create()
    life.update(T0 + DAY, status="active")
    life.update(T0 + 2 * DAY, status="past_due")
    life.update(T0 + 3 * DAY, status="active")
    life.update(T0 + 4 * DAY, cancel_at_period_end=True)
    life.end(T0 + MONTH)
    outcomes: list[str] = []
    for told in life.told:
        desk.clock.at = told["created"] + 1
        outcomes.append(await desk.take(told))
    assert outcomes == ["applied"] * 6
    assert await desk.questions() == 0
    assert steps(await desk.history()) == [
        ("start_trial", "applied", "none", "trialing"),
        ("activate", "applied", "trialing", "active"),
        ("fail_payment", "applied", "active", "past_due"),
        ("recover", "applied", "past_due", "active"),
        ("update", "applied", "active", "active"),
        ("cancel", "applied", "active", "canceled"),
    ]
    assert (await desk.state())["state"] == "canceled"


async def test_an_event_counts_once(desk: Desk) -> None:
    """The same event id again is a duplicate: nothing moves, nothing is written down twice."""
    first = event(CREATED, Sub().json())
    assert await desk.take(first) == "applied"
    before = await desk.state(), await desk.history(), await desk.known()
    assert [await desk.take(first) for _ in range(3)] == ["duplicate"] * 3
    forged = event(UPDATED, Sub(status="canceled").json()) | {"id": first["id"]}
    assert await desk.take(forged) == "duplicate"
    assert (await desk.state(), await desk.history(), await desk.known()) == before


async def test_two_event_objects_for_one_change_apply_once(desk: Desk) -> None:
    """Stripe may make two events of one change: the second says what is known."""
    life = Life(Sub())
    life.create()
    update = life.update(T0 + 5, status="past_due")
    twin = update | {"id": "evt_twin"}
    assert [await desk.take(told) for told in (*life.told, twin)] == ["applied", "applied", "unchanged"]


async def test_a_forged_or_broken_body_leaves_nothing(desk: Desk) -> None:
    """400: bad signature, bad event; no row is written."""
    body = body_of(event(CREATED, Sub().json()))
    with pytest.raises(BadSignature):
        await desk.inbox.receive(body, b"t=1,v1=00")
    with pytest.raises(BadSignature):
        await desk.inbox.receive(body, None)
    broken = b'{"id": 7}'
    with pytest.raises(BadEvent):
        await desk.inbox.receive(broken, signed(broken, SECRET, desk.clock()).encode())
    assert (await desk.state())["version"] == 0
    assert await desk.take(msgspec.json.decode(body)) == "applied"


@pytest.mark.parametrize(
    "envelope",
    [{"livemode": True}, {"account": "acct_1"}, {"type": "product.created"}, {"type": "customer.subscription.x"}],
    ids=str,
)
async def test_what_is_not_ours_is_kept_and_touches_nothing(desk: Desk, envelope: Obj) -> None:
    """Another mode, another account, an unmapped type: ignored, and a duplicate when it comes again."""
    told = event(CREATED, Sub().json()) | envelope
    assert await desk.take(told) == "ignored"
    assert await desk.take(told) == "duplicate"
    assert (await desk.state())["state"] == "none"
    assert await desk.history() == []


@pytest.mark.parametrize("data", [None, {}, {"object": None}])
async def test_an_event_without_an_object_is_ignored(desk: Desk, data: Any) -> None:
    """`data` or its `object` missing: kept and ignored."""
    told = event(CREATED, {}) | {"data": data}
    assert [await desk.take(told), await desk.take(told)] == ["ignored", "duplicate"]


# --- what is asked about ---------------------------------------------------------------------------------


async def test_pending_leaves_two_entries_and_no_more(desk: Desk) -> None:
    """`pending`, then what came of it; `from` and `to` only where something changed."""
    life = Life(Sub())
    life.create()
    lost = life.update(T0 + 5, status="past_due")
    late = life.update(T0 + 6, status="unpaid")
    assert [await desk.take(told) for told in (life.told[0], late)] == ["applied", "pending"]
    assert await desk.questions() == 1
    assert (await desk.state())["state"] == "active", "the state stands until Stripe has answered"
    assert await desk.answer(life.sub, at=T0 + 9) is Outcome.APPLIED
    assert await desk.questions() == 0
    about_late = [entry for entry in await desk.history() if entry["event_id"] == late["id"]]
    assert steps(about_late) == [(None, "pending", None, None), ("mark_unpaid", "applied", "active", "unpaid")]
    assert {entry["source"] for entry in about_late} == {"webhook"}
    assert await desk.take(lost) == "pending"
    assert await desk.answer(life.sub, at=T0 + 9) is Outcome.UNCHANGED
    about_lost = [entry for entry in await desk.history() if entry["event_id"] == lost["id"]]
    assert steps(about_lost) == [(None, "pending", None, None), (None, "unchanged", None, None)]


async def test_several_that_waited_leave_two_entries_each(desk: Desk) -> None:
    """The answer is the newest one's; the others are older than an authoritative answer: stale."""
    life = Life(Sub())
    await desk.take(life.create())
    told = [life.update(T0 + 5, status="past_due"), life.update(T0 + 5, status="unpaid")]
    assert [await desk.take(each) for each in reversed(told)] == ["pending", "applied"]
    tie = life.update(T0 + 5, status="active")
    assert await desk.take(tie) == "pending"
    await desk.answer(life.sub, at=T0 + 9)
    entries = [(entry["event_id"], entry["outcome"]) for entry in await desk.history()]
    for event_id in {event_id for event_id, _ in entries}:
        outcomes = [outcome for each, outcome in entries if each == event_id]
        assert outcomes in (["applied"], ["pending", "unchanged"], ["pending", "applied"], ["pending", "stale"])
    assert await desk.questions() == 0


async def test_an_answer_that_evidence_overtook_is_not_committed(desk: Desk) -> None:
    """The fence: what arrived while Stripe was read is never overwritten by the older read."""
    life = Life(Sub())
    await desk.take(life.create())
    slow = life.sub
    asked_at = (await desk.known()).evidence
    assert await desk.take(life.update(T0 + 5, status="past_due")) == "applied"
    assert await desk.answer(slow, at=T0 + 4, asked_at=asked_at) is Outcome.PENDING
    assert (await desk.state())["state"] == "past_due"


async def test_an_answer_overtaken_by_an_unchanged_event_is_not_committed(desk: Desk) -> None:
    """Also a word that changed nothing counts: it was used up, and will not come again."""
    life = Life(Sub())
    await desk.take(life.create())
    old = replace(life.sub, status="past_due")
    asked_at = (await desk.known()).evidence
    assert await desk.take(life.say("trial_will_end", T0 + 5)) == "unchanged"
    assert await desk.answer(old, at=T0 + 4, asked_at=asked_at) is Outcome.PENDING
    assert (await desk.state())["state"] == "active"


async def test_a_subscription_that_stripe_does_not_know_is_given_up(desk: Desk) -> None:
    """404: failed, kept for replay, and not asked about again."""
    told = event("invoice.paid", Bill(status="paid").json())
    assert await desk.take(event("customer.created", customer(user="u_1"))) == "applied"
    assert await desk.take(told) == "pending"
    assert await desk.answer(None) is Outcome.FAILED
    assert await desk.questions() == 0


async def test_a_404_that_evidence_overtook_gives_nothing_up(desk: Desk) -> None:
    """Stripe's "no such subscription" is fenced like any answer: what arrived meanwhile is asked about."""
    assert await desk.take(event("invoice.paid", Bill(status="paid").json())) == "pending"
    asked_at = (await desk.known()).evidence
    assert await desk.take(event("invoice.finalized", Bill().json())) == "pending"
    assert await desk.answer(None, asked_at=asked_at) is Outcome.PENDING
    assert await desk.questions() == 1
    assert await desk.answer(Sub(), at=T0 + 9) is Outcome.APPLIED
    assert (await desk.state())["state"] == "active"


async def test_words_about_an_ended_one_are_written_down_as_refused(desk: Desk) -> None:
    """A late `active` never restores a canceled plan; the history says which guard said no."""
    life = Life(Sub())
    await desk.take(life.create())
    late = life.update(T0 + 5, status="past_due")
    await desk.take(life.end(T0 + 9))
    before = await desk.state()
    assert await desk.take(late) == "refused"
    entry = (await desk.history())[-1]
    assert (entry["outcome"], entry["guard"], entry["from"], entry["to"]) == ("refused", "not_ended", None, None)
    assert await desk.take(life.bill("paid", T0 + 10, status="paid")) == "stale"
    assert await desk.state() == before


async def test_an_entry_is_the_contracts(desk: Desk) -> None:
    """A history entry has its ten fields, and `seq` rises over all users."""
    for user in ("u_1", "u_2", "u_1"):
        await desk.take(event(CREATED, Sub(id=f"sub_{desk.clock.at}", user=user, customer=f"cus_{user}").json()))
        desk.clock.at += 1
    entries = await desk.history("u_1") + await desk.history("u_2")
    assert [list(entry) for entry in entries] == [
        ["seq", "at", "event_id", "event_type", "source", "trigger", "from", "to", "outcome", "guard"]
    ] * 3
    seqs = [entry["seq"] for entry in entries]
    assert len(set(seqs)) == 3
    assert seqs[0] < seqs[2] < seqs[1]
    assert entries[0]["event_type"] == CREATED
    assert entries[0]["at"] == "2026-09-21T14:14:20Z"


# --- grace -----------------------------------------------------------------------------------------------


async def past_due(desk: Desk, life: Life, failed_at: int) -> None:
    await desk.take(life.create())
    await desk.take(life.update(failed_at, status="past_due", latest_invoice="in_2"))
    await desk.take(life.bill("payment_failed", failed_at, status="open", attempts=1, finalized_at=failed_at - 60))


def until(seconds: int) -> str:
    return rfc3339(seconds) or ""


async def test_grace_runs_from_the_first_failure_however_late_it_is_heard(desk: Desk) -> None:
    """A webhook that arrives three days late leaves four days of grace, not seven."""
    desk.clock.at = T0 + 3 * DAY
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    assert (await desk.state())["access"] == {
        "granted": True,
        "reason": "grace_period",
        "until": until(T0 + 10 + 7 * DAY),
    }


async def test_a_second_failure_does_not_begin_grace_anew(desk: Desk) -> None:
    """Each retry that fails is of the same bill: grace still runs from the first."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    await desk.take(life.bill("payment_failed", T0 + 3 * DAY, status="open", attempts=2, created=T0 + 10))
    assert (await desk.state())["access"]["until"] == until(T0 + 10 + 7 * DAY)


async def test_failures_heard_in_the_wrong_order_are_the_same(desk: Desk) -> None:
    """The second failure first: as soon as the first is heard, grace runs from it."""
    life = Life(Sub())
    await desk.take(life.create(), life.update(T0 + 10, status="past_due", latest_invoice="in_2"))
    second = life.bill("payment_failed", T0 + 3 * DAY, status="open", attempts=2, created=T0 + 10)
    first = life.bill("payment_failed", T0 + 10, status="open", attempts=1, created=T0 + 10)
    await desk.take(second)
    before = await desk.state()
    assert before["access"]["until"] == until(T0 + 3 * DAY + 7 * DAY)
    await desk.take(first)
    after = await desk.state()
    assert after["access"]["until"] == until(T0 + 10 + 7 * DAY)
    assert after["version"] == before["version"] + 1


async def test_the_next_failed_bill_after_a_paid_one_begins_grace_anew(desk: Desk) -> None:
    """Grace belongs to the bill that is open: one that was paid since does not shorten it."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    await desk.take(life.bill("paid", T0 + 20, status="paid", attempts=2, created=T0 + 10))
    await desk.take(life.update(T0 + 20, status="active"))
    assert (await desk.state())["access"]["reason"] == "paid"
    failed = T0 + MONTH
    desk.clock.at = failed + 60
    await desk.take(life.update(failed, status="past_due", latest_invoice="in_3"))
    await desk.take(life.bill("payment_failed", failed, status="open", attempts=1))
    assert (await desk.state())["access"]["until"] == until(failed + 7 * DAY)


async def test_a_second_open_bill_does_not_begin_grace_anew(desk: Desk) -> None:
    """Two months unpaid in a row: grace ran out with the first."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    desk.clock.at = T0 + MONTH
    await desk.take(life.update(T0 + MONTH, latest_invoice="in_3"))
    await desk.take(life.bill("payment_failed", T0 + MONTH, status="open", attempts=1))
    assert (await desk.state())["access"] == {"granted": False, "reason": "payment_failed", "until": None}


async def test_a_bill_given_up_before_a_paid_one_does_not_shorten_grace(desk: Desk) -> None:
    """An old bill that stays open is no longer owed once a newer one was paid: the next failure has all its days."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    await desk.take(life.update(T0 + 2 * MONTH, status="active", latest_invoice="in_3"))
    await desk.take(life.bill("paid", T0 + 2 * MONTH, status="paid", attempts=1, created=T0 + 2 * MONTH))
    failed = T0 + 3 * MONTH
    desk.clock.at = failed + 60
    await desk.take(life.update(failed, status="past_due", latest_invoice="in_4"))
    await desk.take(life.bill("payment_failed", failed, status="open", attempts=1))
    assert (await desk.state())["access"]["until"] == until(failed + 7 * DAY)


async def test_an_invoice_that_contradicts_the_state_is_asked_about(desk: Desk) -> None:
    """`invoice.paid` of a past-due subscription moves nothing by itself: Stripe is asked."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    assert await desk.take(life.bill("paid", T0 + 20, status="paid", created=T0 + 10)) == "pending"
    assert (await desk.state())["state"] == "past_due"
    assert await desk.questions() == 1


# --- whose it is -----------------------------------------------------------------------------------------

UNLINKED = Sub(user=None)


async def linked(desk: Desk) -> None:
    state = await desk.state()
    assert (state["state"], state["subscription_id"], state["access"]["granted"]) == ("active", "sub_1", True)
    entries = await desk.history()
    assert ("activate", "applied", "none", "active") in steps(entries)


async def test_unlinked_is_linked_by_its_customer(desk: Desk) -> None:
    """An event that no user can be found for is kept, and decided as soon as its customer names one."""
    told = event(CREATED, UNLINKED.json())
    assert await desk.take(told) == "unlinked"
    assert (await desk.state())["state"] == "none"
    assert await desk.questions() == 1, "its customer may name a user: Stripe is asked"
    assert await desk.take(event("customer.updated", customer(user="u_1"), created=T0 + 9)) == "applied"
    await linked(desk)
    assert await desk.take(told) == "duplicate"


async def test_unlinked_is_linked_by_its_checkout(desk: Desk) -> None:
    """`client_reference_id` of the completed session names the user."""
    assert await desk.take(event(CREATED, UNLINKED.json())) == "unlinked"
    assert await desk.take(event("checkout.session.completed", session())) == "unchanged"
    await linked(desk)


async def test_unlinked_is_linked_by_its_metadata(desk: Desk) -> None:
    """Somebody writes the user into the subscription's metadata."""
    life = Life(UNLINKED)
    assert await desk.take(life.create()) == "unlinked"
    assert await desk.take(life.update(T0 + 5, user="u_1")) == "applied"
    await linked(desk)


async def test_unlinked_is_linked_by_stripes_answer(desk: Desk) -> None:
    """The customer's event never came: Stripe's answer brings the customer along."""
    assert await desk.take(event(CREATED, UNLINKED.json())) == "unlinked"
    assert await desk.answer(UNLINKED, at=T0 + 9, customer_user="u_1") is Outcome.UNCHANGED
    await linked(desk)


async def test_a_customer_known_before_its_subscription_links_it(desk: Desk) -> None:
    """The other order: the customer or the checkout first."""
    assert await desk.take(event("customer.created", customer(user="u_1"))) == "applied"
    assert await desk.take(event(CREATED, UNLINKED.json())) == "applied"
    await linked(desk)


async def test_a_checkout_known_before_its_subscription_links_it(desk: Desk) -> None:
    """The redirect's event beats the subscription's: pending until it is known, then linked."""
    assert await desk.take(event("checkout.session.completed", session())) == "pending"
    assert await desk.take(event(CREATED, UNLINKED.json())) == "applied"
    await linked(desk)


async def test_the_subscriptions_own_metadata_comes_first(desk: Desk) -> None:
    """`metadata.user_id` of the subscription, else of its customer, else the checkout's."""
    await desk.take(event("customer.created", customer(user="u_customer")))
    await desk.take(event("checkout.session.completed", session(subscription=None, user="u_checkout")))
    await desk.take(event(CREATED, Sub(user="u_1").json()))
    assert [(await desk.state(user))["state"] for user in ("u_1", "u_customer", "u_checkout")] == [
        "active", "none", "none",
    ]  # fmt: skip


async def test_one_answer_moves_the_customer_and_names_the_subscriptions_own_user(desk: Desk) -> None:
    """The customer is somebody else's now, the subscription says that it stays whose it was: it stays theirs."""
    await desk.take(event("customer.created", customer(user="u_1")))
    await desk.take(event(CREATED, UNLINKED.json()))
    assert await desk.answer(replace(UNLINKED, user="u_1"), at=T0 + 9, customer_user="u_2") is Outcome.APPLIED
    assert [(await desk.state(user))["state"] for user in ("u_1", "u_2")] == ["active", "none"]


async def test_the_customers_metadata_comes_before_the_checkout(desk: Desk) -> None:
    """A checkout that names another user does not take a customer that is somebody's."""
    await desk.take(event("customer.created", customer(user="u_1")))
    await desk.take(event("checkout.session.completed", session(subscription=None, user="u_thief")))
    await desk.take(event(CREATED, UNLINKED.json()))
    await linked(desk)
    assert (await desk.state("u_thief"))["state"] == "none"


async def test_the_first_checkout_of_a_customer_names_its_user(desk: Desk) -> None:
    """A second checkout with another reference does not move a customer's subscriptions."""
    await desk.take(event("checkout.session.completed", session(subscription=None)))
    await desk.take(event("checkout.session.completed", session(subscription=None, user="u_thief", id="cs_2")))
    await desk.take(event(CREATED, UNLINKED.json()))
    await linked(desk)


async def test_a_subscription_moves_with_its_metadata(desk: Desk) -> None:
    """Another user in the metadata: access goes to them at once, and leaves the one before."""
    life = Life(Sub())
    await desk.take(life.create())
    await desk.take(life.update(T0 + 5, user="u_2"))
    assert (await desk.state("u_1"))["state"] == "none"
    assert (await desk.state("u_2"))["access"]["granted"]


async def test_a_customers_subscriptions_move_with_its_metadata(desk: Desk) -> None:
    """All that do not name a user of their own follow the customer."""
    await desk.take(event("customer.created", customer(user="u_1")))
    await desk.take(event(CREATED, UNLINKED.json()), event(CREATED, Sub(id="sub_own", user="u_own").json()))
    await desk.take(event("customer.updated", customer(user="u_2"), created=T0 + 9))
    states = {user: (await desk.state(user))["subscription_id"] for user in ("u_1", "u_2", "u_own")}
    assert states == {"u_1": None, "u_2": "sub_1", "u_own": "sub_own"}


async def test_a_late_customer_event_does_not_undo_a_later_one(desk: Desk) -> None:
    """What a customer said earlier, heard later, moves nobody."""
    await desk.take(event(CREATED, UNLINKED.json()))
    await desk.take(event("customer.updated", customer(user="u_1"), created=T0 + 9))
    await desk.take(event("customer.created", customer(user="u_0"), created=T0))
    await linked(desk)


async def test_an_answer_that_a_customers_event_overtook_is_not_committed(desk: Desk) -> None:
    """The fence holds for whose it is, too: an older read never moves a subscription back to the user before."""
    await desk.take(event("customer.created", customer(user="u_2")), event(CREATED, UNLINKED.json()))
    asked_at = (await desk.known()).evidence
    await desk.take(event("customer.updated", customer(user="u_1"), created=T0 + 9))
    assert await desk.answer(UNLINKED, at=T0 + 9, asked_at=asked_at, customer_user="u_2") is Outcome.PENDING
    assert (await desk.state("u_1"))["state"] == "active"


async def test_a_customer_deleted_within_the_second_is_deleted(desk: Desk) -> None:
    """Seconds tie: that a customer is gone is its end, and needs no order."""
    await desk.take(event("customer.deleted", customer(), created=T0))
    await desk.take(event(CREATED, Sub(customer="cus_2", status="canceled").json(), created=T0))
    assert "portal" in (await desk.state())["available_actions"]
    await desk.take(event("customer.deleted", customer("cus_2", user="u_1"), created=T0))
    assert (await desk.state())["available_actions"] == ["checkout"]


async def test_a_moved_customer_is_no_longer_the_first_users_portal(desk: Desk) -> None:
    """Whoever had a customer that is another's now is not let into its portal, nor told so."""
    await desk.take(event("customer.created", customer(user="u_1")), event(CREATED, UNLINKED.json()))
    assert "portal" in (await desk.state("u_1"))["available_actions"]
    await desk.take(event("customer.updated", customer(user="u_2"), created=T0 + 9))
    assert (await desk.state("u_1"))["available_actions"] == ["checkout"]
    assert "portal" in (await desk.state("u_2"))["available_actions"]


async def test_kind_a_a_customers_metadata_alone_opens_nobody_its_portal(desk: Desk) -> None:
    """Another app of the account writes `user_id` too: its customer has other people's cards and invoices."""
    await desk.take(event("customer.created", customer(user="u_1")))
    club = Sub(user=None, lines=(Line(price="price_tshirt_club"),))
    await desk.take(event(CREATED, club.json()))
    state = await desk.state("u_1")
    assert (state["state"], state["plan"], state["access"]["granted"]) == ("none", None, False)
    assert state["available_actions"] == ["checkout"]


async def test_a_shared_customer_is_nobodys_portal(desk: Desk) -> None:
    """Two users on one customer: the portal of one would show the other's cards and bills."""
    await desk.take(event(CREATED, Sub(user="u_1").json()))
    assert "portal" in (await desk.state("u_1"))["available_actions"]
    await desk.take(event(CREATED, Sub(id="sub_2", user="u_2").json()))
    for user in ("u_1", "u_2"):
        assert "portal" not in (await desk.state(user))["available_actions"], user


async def test_a_deleted_customer_is_no_portal(desk: Desk) -> None:
    """Its subscriptions are asked about, its portal is gone for everybody, its last facts stay."""
    life = Life(Sub(user="u_1"))
    await desk.take(life.create(), life.end(T0 + 5))
    assert "portal" in (await desk.state())["available_actions"]
    await desk.take(event("customer.deleted", customer(), created=T0 + 9))
    state = await desk.state()
    assert (state["state"], state["available_actions"]) == ("canceled", ["checkout"])


async def test_a_deleted_customers_living_subscription_is_asked_about(desk: Desk) -> None:
    """Stripe ends them with their customer; until it says so nothing moves."""
    await desk.take(event("customer.created", customer(user="u_1")), event(CREATED, UNLINKED.json()))
    assert await desk.take(event("customer.deleted", customer(), created=T0 + 9)) == "pending"
    assert (await desk.state())["state"] == "active"
    assert await desk.answer(replace(UNLINKED, status="canceled"), at=T0 + 9) is Outcome.APPLIED
    assert ((await desk.state())["state"], await desk.questions()) == ("canceled", 0)


async def test_entitlements_ask_about_their_customers_subscriptions(desk: Desk) -> None:
    """Which one moved is not said: those that are known and alive are asked about, a stranger's event is ignored."""
    summary = {"object": "entitlements.active_entitlement_summary", "customer": "cus_1", "livemode": False}
    type_ = "entitlements.active_entitlement_summary.updated"
    assert await desk.take(event(type_, summary)) == "ignored"
    await desk.take(event(CREATED, Sub().json()))
    assert await desk.take(event(type_, summary)) == "pending"
    assert await desk.questions() == 1


# --- what is shown, and its version ----------------------------------------------------------------------


async def test_the_version_rises_exactly_when_something_shown_changes(desk: Desk) -> None:
    """Through a whole life, with twins and repeats: one step up for each change, none without."""
    life = Life(Sub())
    told = [life.create(), life.update(T0 + 5, status="past_due"), life.update(T0 + 6, status="active")]
    told += [life.update(T0 + 7, latest_invoice="in_2"), life.say("trial_will_end", T0 + 8)]
    told += [life.update(T0 + 9, cancel_at=T0 + MONTH), life.end(T0 + 10)]
    told += [event("invoice.paid", Bill(status="paid").json()), event("product.created", {})]
    before = await desk.state()
    assert before["version"] == 0
    for each in told:
        desk.clock.at += 1
        await desk.take(each)
        after = await desk.state()
        stamps = {"version", "updated_at"}
        changed = {k: v for k, v in before.items() if k not in stamps} != {
            k: v for k, v in after.items() if k not in stamps
        }
        assert after["version"] == before["version"] + changed, each["type"]
        assert (after["updated_at"] != before["updated_at"]) is changed
        before = after


async def test_the_clock_alone_raises_the_version(desk: Desk) -> None:
    """When grace runs out the answer changes, and so do `version` and `updated_at`, without any event."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    before = await desk.state()
    desk.clock.at = T0 + 10 + 7 * DAY - 0.01
    assert await desk.state() == before
    desk.clock.at = T0 + 10 + 7 * DAY
    after = await desk.state()
    assert after["access"] == {"granted": False, "reason": "payment_failed", "until": None}
    assert (after["version"], after["updated_at"]) == (before["version"] + 1, until(T0 + 10 + 7 * DAY))
    assert await desk.state() == after


async def test_another_catalogue_raises_the_version_where_it_shows(desk: Desk) -> None:
    """A renamed plan is another state to show; a change that this user does not see is none."""
    await desk.take(event(CREATED, Sub().json()))
    before = await desk.state()
    elsewhere = desk.with_catalogue(read_catalogue(PLANS.replace("Starter", "Beginner")))
    assert await elsewhere.state() == before
    renamed = desk.with_catalogue(read_catalogue(PLANS.replace('"Pro"', '"Professional"')))
    after = await renamed.state()
    assert (after["plan"]["name"], after["version"]) == ("Professional", before["version"] + 1)


async def test_another_grace_period_is_shown_at_once(desk: Desk) -> None:
    """The policy is part of the catalogue: a restart with more days gives access back."""
    life = Life(Sub())
    await past_due(desk, life, T0 + 10)
    desk.clock.at = T0 + 8 * DAY
    assert not (await desk.state())["access"]["granted"]
    kinder = desk.with_catalogue(read_catalogue(PLANS.replace("grace_days = 7", "grace_days = 30")))
    assert (await kinder.state())["access"] == {
        "granted": True, "reason": "grace_period", "until": until(T0 + 10 + 30 * DAY),
    }  # fmt: skip


async def test_reading_makes_nobody(desk: Desk) -> None:
    """A user of whom nothing is known reads `none`, version 0, however often."""
    states = [await desk.state("u_stranger") for _ in range(3)]
    assert states[0] == states[1] == states[2]
    assert (states[0]["state"], states[0]["version"], states[0]["updated_at"]) == ("none", 0, "1970-01-01T00:00:00Z")


async def test_the_survivor_of_two_keeps_access(desk: Desk) -> None:
    """Cancelling the duplicate removes no access: a user's access is the best over all subscriptions."""
    good = event(CREATED, Sub(id="sub_good").json())
    twin = Life(Sub(id="sub_twin", created=T0 + 1))
    await desk.take(good, twin.create())
    assert (await desk.state())["subscription_id"] == "sub_twin"
    await desk.take(twin.end(T0 + 9))
    state = await desk.state()
    assert (state["subscription_id"], state["access"]["granted"], state["plan"]["key"]) == ("sub_good", True, "pro")
    assert state["available_actions"] == ["portal", "change_plan", "cancel"]


async def test_a_deleted_event_of_one_never_seen_is_its_end(desk: Desk) -> None:
    """The first word is the last: canceled, and what comes late is refused."""
    life = Life(Sub())
    created = life.create()
    assert await desk.take(life.end(T0 + 5)) == "applied"
    assert await desk.take(created) == "refused"
    assert (await desk.state())["state"] == "canceled"
    assert life.told[-1]["type"] == DELETED


async def open_session(desk: Desk, *, expires_at: int) -> None:
    """What a checkout leaves in the store: one open session of u_1."""

    def work() -> Any:
        yield STATEMENTS["users_ensure"], ("u_1",)
        yield STATEMENTS["checkout_put"], ("cs_test_1", "u_1", "pro:1:", "https://checkout", expires_at)

    await desk.store.write(work)


async def test_the_end_of_an_open_checkout_is_shown_by_the_clock(desk: Desk) -> None:
    """`checkout` is offered to an incomplete one while its session is open, and not a second longer."""
    await open_session(desk, expires_at=T0 + 100)
    await desk.take(event(CREATED, Sub(status="incomplete").json()))
    before = await desk.state()
    assert before["available_actions"] == ["checkout", "portal", "cancel"]
    desk.clock.at = T0 + 100
    after = await desk.state()
    assert after["available_actions"] == ["portal", "cancel"]
    assert after["version"] == before["version"] + 1


async def test_an_open_checkout_is_not_offered_beside_another_living_one(desk: Desk) -> None:
    """A paused subscription lives: the incomplete one shown beside it can't be checked out."""
    await open_session(desk, expires_at=T0 + DAY)
    await desk.take(event(CREATED, Sub(status="paused", id="sub_0").json()))
    await desk.take(event(CREATED, Sub(status="incomplete", created=T0 + 1).json()))
    state = await desk.state()
    assert (state["state"], state["available_actions"]) == ("incomplete", ["portal", "cancel"])


async def test_a_status_that_we_do_not_know_is_a_living_one(desk: Desk) -> None:
    """Every status but the two ends lives: a first subscription in a new status bars a second checkout."""
    strange = Sub(status="frozen_by_stripe")
    assert await desk.take(event(CREATED, strange.json())) == "pending"
    assert await desk.answer(strange, at=T0 + 9) is Outcome.REFUSED
    state = await desk.state()
    assert (state["state"], state["access"]["granted"]) == ("none", False)
    assert "checkout" not in state["available_actions"]


async def test_drawing_a_user_of_whom_nothing_is_known_changes_nothing(desk: Desk) -> None:
    """`version` rises only when something shown changes: asking for a checkout shows nothing new."""
    before = await desk.state()
    await desk.inbox.run(lambda unit: touch("u_1", unit))
    assert await desk.state() == before
    await desk.take(event(CREATED, Sub().json()))
    assert (await desk.state())["version"] == 1
