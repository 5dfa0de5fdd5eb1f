"""The wire: every API version since 2020-08-27 says the same to us."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from interlock.engine.core.invoices import Invoice as HeldBill
from interlock.engine.core.states import Facts, Item, PendingUpdate, Schedule
from interlock.engine.wire import objects as wire
from interlock.engine.wire import reading
from tests.kit.bodies import (
    DAY,
    MONTH,
    NEWEST,
    OLDEST,
    T0,
    VERSIONS,
    Bill,
    Line,
    Obj,
    Sub,
    customer,
    previous_attributes,
    session,
)

PAUSE = {"behavior": "void", "resumes_at": T0 + DAY}
SHAPES = {
    "plain": Sub(),
    "trial": Sub(status="trialing", trial_end=T0 + 14 * DAY),
    "two items": Sub(lines=(Line(ends=T0 + 2 * MONTH), Line(price="price_seat", quantity=5, ends=T0 + MONTH))),
    "no items": Sub(lines=()),
    "fifty items": Sub(lines=tuple(Line(price=f"price_{n}", ends=T0 + MONTH + n) for n in range(50))),
    "ends at a date": Sub(cancel_at=T0 + 3 * DAY),
    "ends with its period": Sub(cancel_at_period_end=True),
    "collection paused": Sub(pause_collection=PAUSE),
    "sends bills": Sub(collection_method="send_invoice"),
    "lookup key": Sub(lines=(Line(lookup_key="pro_monthly"),)),
    "nobody's": Sub(user=None, latest_invoice=None),
    "ended": Sub(status="canceled", ended_at=T0 + DAY),
    "a new status": Sub(status="frozen_by_stripe"),
}


def decoded(obj: Obj) -> wire.Subscription:
    return msgspec.json.decode(msgspec.json.encode(obj), type=wire.Subscription)


def facts(sub: Sub, version: str = NEWEST, **changes: Any) -> Facts:
    return reading.facts_of(decoded(sub.json(version) | changes))


def bill(invoice: Bill, version: str = NEWEST, **changes: Any) -> HeldBill | None:
    body = msgspec.json.encode(invoice.json(version) | changes)
    return reading.invoice_of(msgspec.json.decode(body, type=wire.Invoice), reported_at=T0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_subscription_is_the_same_in_every_version(shape: str, version: str) -> None:
    """One normaliser for both shapes: the period on the subscription or on its items gives equal facts."""
    known = facts(SHAPES[shape], NEWEST)
    assert facts(SHAPES[shape], version).completed_by(known) == known


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_is_read(version: str) -> None:
    """All that access and the view need arrives, from the oldest shape and the newest."""
    sub = Sub(
        id="sub_9", customer="cus_9", status="past_due", created=T0 + 1, user="u_9", trial_end=T0 + 2,
        lines=(Line(price="price_a", quantity=3, ends=T0 + 4, lookup_key="a_monthly"),), cancel_at=T0 + 3,
        ended_at=T0 + 5, pause_collection={"behavior": "void", "resumes_at": T0 + 6},
        collection_method="send_invoice", latest_invoice="in_9", schedule="sub_sched_9",
        cancellation_details={"reason": "cancellation_requested", "feedback": "too_complex", "comment": "bye"},
        default_payment_method="pm_9",
        pending_update={"expires_at": T0 + 7, "trial_end": None, "subscription_items": [Line(price="b").json(version)]},
    )  # fmt: skip
    item = Item("price_a", 3, "a_monthly", "si_0", "prod_1", "month", 1, False, 2900, "usd",
                None if version < "2025" else T0 + 4)  # fmt: skip
    coming = msgspec.structs.replace(item, price_id="b", quantity=1, lookup_key=None,
                                     period_end=None if version < "2025" else T0 + MONTH)  # fmt: skip
    assert facts(sub, version) == Facts(
        subscription_id="sub_9", customer_id="cus_9", status="past_due", created=T0 + 1, user_id="u_9",
        items=(item,), current_period_end=T0 + 4, trial_end=T0 + 2, cancel_at=T0 + 3,
        ended_at=T0 + 5, collection_paused=True, collection_resumes_at=T0 + 6, charges_automatically=False,
        latest_invoice="in_9", billing_mode=None if version < "2025" else "flexible", livemode=False,
        schedule=Schedule("sub_sched_9"), pending_update=PendingUpdate(T0 + 7, (coming,)),
        cancel_reason="cancellation_requested", cancel_feedback="too_complex", cancel_comment="bye",
        has_payment_method=True,
    )  # fmt: skip


def test_facts_kept_by_an_older_version_of_ours_are_read() -> None:
    """What is in the database does not have the fields that came later: they have their defaults."""
    old = b'{"subscription_id":"sub_1","customer_id":"cus_1","status":"active","items":[{"price_id":"price_pro"}]}'
    read = msgspec.json.decode(old, type=Facts)
    assert read.items == (Item("price_pro"),)
    assert (read.billing_mode, read.schedule, read.items_cut, read.livemode) == (None, None, False, None)


def test_kind_j_why_it_is_paused_is_read() -> None:
    """`status_details` says it, while it is paused; an older version of the API does not, and then it is kept."""
    details = {"paused": {"transitioned_at": T0, "subscription": {"type": "trial_end_without_payment_method"}}}
    paused = facts(Sub(status="paused"), status_details=details)
    assert paused.paused_by == "trial_end_without_payment_method"
    assert facts(Sub(), status_details=details).paused_by is None
    assert facts(Sub(status="paused"), OLDEST).completed_by(paused) == paused


def test_kind_c_a_list_that_was_cut_is_known_as_such() -> None:
    """What is beyond it is taken from what is known, where the listed items are the same."""
    whole = facts(Sub(lines=(Line(), Line(price="price_ai"))))
    cut = facts(Sub(has_more=True))
    assert (cut.items_cut, cut.is_whole, whole.is_whole) == (True, False, True)
    assert cut.completed_by(whole) == whole
    other = facts(Sub(has_more=True, lines=(Line(quantity=2),)))
    assert other.completed_by(whole) == other


def test_kind_n_an_expanded_schedule_says_what_is_to_come() -> None:
    """The present phase and the next ones, with what their prices are; a webhook's id alone keeps what is known."""
    phases = [
        {"start_date": T0 - MONTH, "end_date": T0, "items": [{"price": "price_old", "quantity": 1}]},
        {"start_date": T0, "end_date": T0 + MONTH, "items": [{"price": "price_pro", "quantity": 1}]},
        {"start_date": T0 + MONTH, "end_date": None, "items": [{"price": Line().json(NEWEST)["price"]}]},
    ]
    schedule: Obj = {
        "id": "sub_sched_1", "phases": phases, "current_phase": {"start_date": T0, "end_date": T0 + MONTH},
        "end_behavior": "release", "metadata": {"interlock": "change"},
    }  # fmt: skip
    expanded = facts(Sub(), schedule=schedule)
    assert expanded.schedule is not None
    assert expanded.schedule.phases is not None
    assert [phase.start for phase in expanded.schedule.phases] == [T0, T0 + MONTH]
    assert expanded.schedule.phases[1].items[0].interval == "month"
    assert (expanded.schedule.mark, expanded.schedule.ours) == ("change", True)
    theirs: Obj = schedule | {"metadata": {}}
    copied: Obj = theirs | {"phases": phases[1:2]}
    assert [facts(Sub(), schedule=one).schedule.ours for one in (theirs, copied)] == [False, True]  # pyright: ignore
    alone = facts(Sub(schedule="sub_sched_1"))
    assert alone.schedule == Schedule("sub_sched_1")
    assert alone.completed_by(expanded) == expanded
    assert facts(Sub(schedule="sub_sched_2")).completed_by(expanded).schedule == Schedule("sub_sched_2")


def test_kind_k_the_metadata_key_is_a_setting() -> None:
    """Two apps on one account write different keys; the first key that names a user counts."""
    sub = Sub().json() | {"metadata": {"user_id": "7", "acme_user": "u_acme"}}
    keys = [("user_id",), ("acme_user",), ("acme_user", "user_id"), ("nothing", "user_id"), ("nothing",)]
    assert [reading.facts_of(decoded(sub), one).user_id for one in keys] == ["7", "u_acme", "u_acme", "7", None]


def test_the_period_ends_with_the_earliest_item() -> None:
    """Flexible billing allows mixed intervals: the first end is the period's, and a cancellation's too."""
    sub = Sub(lines=(Line(ends=T0 + 12 * MONTH), Line(ends=T0 + MONTH)), cancel_at_period_end=True)
    assert facts(sub).current_period_end == T0 + MONTH
    assert facts(sub).cancel_at == T0 + MONTH


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ways_to_end_later_are_one_date(version: str) -> None:
    """The boolean of the classic way and the date of the flexible one are one `cancel_at`; the date wins."""
    assert facts(Sub(cancel_at_period_end=True), version).cancel_at == T0 + MONTH
    assert facts(Sub(cancel_at=T0 + 5), version).cancel_at == T0 + 5
    assert facts(Sub(cancel_at=T0 + 5, cancel_at_period_end=True), version).cancel_at == T0 + 5
    assert facts(Sub(), version).cancel_at is None


def test_a_status_that_we_do_not_know_is_kept() -> None:
    """Stripe's enums are open: a new value is kept as it is, not mapped to another."""
    assert facts(Sub(status="frozen_by_stripe")).status == "frozen_by_stripe"


def test_expanded_objects_are_their_ids() -> None:
    """An answer of Stripe's comes expanded, a webhook does not: both are the same facts."""
    sub = Sub()
    expanded = facts(
        sub,
        customer=customer("cus_1", user="u_other"),
        latest_invoice=Bill(id="in_1").json(),
        test_clock={"id": "clock_1", "object": "test_helpers.test_clock", "frozen_time": T0},
    )
    assert expanded == facts(sub, test_clock="clock_1")
    assert facts(sub, customer={"id": "cus_1", "object": "customer", "deleted": True}) == facts(sub)


def test_what_is_not_named_is_skipped() -> None:
    """Fields that come tomorrow, of any shape, change nothing."""
    assert facts(Sub(), tomorrow={"deep": [{"er": 1}]}, status_details={"paused": None}) == facts(Sub())


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": None}, {"status": 7}, {"customer": None}, {"customer": []}, {"id": ""}, {"id": None},
        {"items": None}, {"items": {"data": [7]}}, {"items": {"data": [{"quantity": -1}]}}, {"created": "today"},
        {"cancel_at": -1}, {"cancel_at": 10**12}, {"cancel_at_period_end": "yes"}, {"metadata": []},
        {"pause_collection": True}, {"trial_end": "2026-01-01"}, {"latest_invoice": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_mistyped_field_makes_it_unreadable(wrong: Obj) -> None:
    """Nothing is guessed: the whole object is refused, and Stripe is asked instead."""
    with pytest.raises(msgspec.ValidationError):
        facts(Sub(), **wrong)


@pytest.mark.parametrize("metadata", [{}, None, {"user_id": ""}, {"user_id": None}, {"user_id": 7},
                                      {"user_id": "u\0"}, {"user_id": "x" * 256}, {"userId": "u_1"}])  # fmt: skip
def test_metadata_without_a_usable_user_names_nobody(metadata: Obj | None) -> None:
    """A user id that no token's `sub` could carry belongs to nobody."""
    assert facts(Sub(), metadata=metadata).user_id is None


def test_a_quantity_of_none_is_one() -> None:
    """Metered items have no quantity: they count as one."""
    (item,) = facts(Sub(), items={"data": [{"price": {"id": "price_m"}}]}).items
    assert item == Item("price_m", 1)
    metered = {"id": "price_m", "recurring": {"interval": "month", "interval_count": 3, "usage_type": "metered"}}
    (item,) = facts(Sub(), items={"data": [{"id": "si_1", "price": metered}]}).items
    assert item == Item("price_m", 1, item_id="si_1", interval="month", interval_count=3, metered=True)
    (old,) = facts(Sub(), items={"data": [{"plan": {"id": "plan_old"}, "quantity": 0}]}).items
    assert old == Item("plan_old", 0)


CHANGES: dict[str, Obj] = {
    "status": {"status": "past_due"},
    "price": {"lines": (Line(price="price_starter"),)},
    "quantity": {"lines": (Line(quantity=7),)},
    "renewal": {"lines": (Line(ends=T0 + 2 * MONTH),), "latest_invoice": "in_2"},
    "item added": {"lines": (Line(), Line(price="price_seat"))},
    "all items gone": {"lines": ()},
    "trial": {"status": "trialing", "trial_end": T0 + DAY},
    "ends with its period": {"cancel_at_period_end": True},
    "ends at a date": {"cancel_at": T0 + DAY},
    "collection paused": {"pause_collection": PAUSE},
    "user named": {"user": "u_2"},
    "user gone": {"user": None},
    "first invoice": {"latest_invoice": "in_7"},
    "bills are sent": {"collection_method": "send_invoice"},
    "schedule attached": {"schedule": "sub_sched_1"},
    "change waits": {"pending_update": {"expires_at": T0 + 9, "subscription_items": [], "trial_end": None}},
    "cancellation explained": {"cancellation_details": {"reason": "cancellation_requested", "feedback": None}},
    "card set": {"default_payment_method": "pm_1"},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("back", [False, True], ids=["done", "undone"])
def test_what_was_before_an_update_is_read_from_what_changed(name: str, version: str, back: bool) -> None:
    """`previous_attributes` put back into the object are exactly the facts that were: the chain's proof."""
    before, after = Sub(), replace(Sub(), **CHANGES[name])
    if back:
        before, after = after, before
    old, new = before.json(version), after.json(version)
    previous = msgspec.json.decode(msgspec.json.encode(previous_attributes(old, new)), type=wire.PreviousAttributes)
    assert facts(before) != facts(after)
    assert reading.facts_before(decoded(new), previous).completed_by(facts(before)) == facts(before)


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        ({"behavior": "void", "resumes_at": None}, {"behavior": "keep_as_draft", "resumes_at": None}),
        ({"behavior": "void", "resumes_at": 5}, {"behavior": "void", "resumes_at": 6}),
        ({"behavior": "void", "resumes_at": None}, {"behavior": "void", "resumes_at": 6}),
    ],
    ids=["behavior", "date", "date set"],
)
def test_a_partly_changed_pause_is_put_back(was: Obj, is_now: Obj) -> None:
    """Of a hash `previous_attributes` names only what changed inside it."""
    before, after = Sub(pause_collection=was), Sub(pause_collection=is_now)
    changed = previous_attributes(before.json(), after.json())
    assert changed["pause_collection"] != was
    previous = msgspec.json.decode(msgspec.json.encode(changed), type=wire.PreviousAttributes)
    assert reading.facts_before(decoded(after.json()), previous) == facts(before)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "invoice",
    [
        Bill(),
        Bill(status="paid", attempts=1, finalized_at=T0 + 5),
        Bill(status="open", attempts=2, next_attempt=T0 + DAY),
        Bill(subscription=None),
    ],
    ids=["open", "paid", "failed", "of no subscription"],
)
def test_an_invoice_is_the_same_in_every_version(invoice: Bill, version: str) -> None:
    """`invoice.subscription` or `invoice.parent…`: the same bill; one that bills no subscription is none."""
    assert bill(invoice, version) == bill(invoice, NEWEST)
    assert (bill(invoice, version) is None) == (invoice.subscription is None)


def test_an_invoice_teaches_what_support_asks() -> None:
    """Failure code, attempts, next attempt and the page to pay on are kept."""
    heard = bill(Bill(attempts=2, next_attempt=T0 + 9, failure_code="expired_card", finalized_at=T0 + 1), OLDEST)
    assert heard == HeldBill(
        invoice_id="in_1", subscription_id="sub_1", created=T0, status="open", attempt_count=2,
        failure_code="expired_card", failure_attempt=2, finalized_at=T0 + 1, next_attempt=T0 + 9,
        hosted_url="https://invoice.stripe.com/i/in_1", reported_at=T0,
    )  # fmt: skip


def test_an_invoice_of_the_oldest_shape_is_paid_by_its_boolean() -> None:
    """Where the status is missing, `paid` says it."""
    assert [bill(Bill(), OLDEST, status=None, paid=paid).status for paid in (True, False)] == ["paid", "open"]  # pyright: ignore


def test_an_expanded_subscription_of_an_invoice_is_its_id() -> None:
    """`invoice.subscription` may be expanded."""
    heard = bill(Bill(), OLDEST, subscription={"id": "sub_7", "object": "subscription"})
    assert heard is not None
    assert heard.subscription_id == "sub_7"


def test_a_checkout_session_is_read() -> None:
    """Whom it was for, what came of it."""
    read = msgspec.json.decode(msgspec.json.encode(session()), type=wire.CheckoutSession)
    assert (read.subscription, read.customer, read.client_reference_id) == ("sub_1", "cus_1", "u_1")
