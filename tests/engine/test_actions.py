"""`available_actions`: one predicate an action, and what each refuses; case J: nothing is listed in vain."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.engine.core import actions
from interlock.engine.core.actions import Action, Refusal, available_actions, cancel_at, checkout_of
from interlock.engine.core.states import Billing, Item, PendingUpdate, Phase, Schedule, Subscription
from tests.engine.held import NOW, holding, sub, with_changes
from tests.kit.bodies import DAY, T0

OPEN = Billing(open_invoice="in_1", open_url="https://invoice")
PAUSING = with_changes("[pause]\nallowed = true")
AHEAD = (Phase(T0, NOW + DAY, (Item("price_pro"),)), Phase(NOW + DAY, None, (Item("price_starter"),)))
OURS = Schedule("sub_sched_1", AHEAD, mark="change")
THEIRS = Schedule("sub_sched_1", AHEAD)
WAITING = PendingUpdate(NOW + DAY, (Item("price_pro_year"),))


def listed(*subs: Subscription, **holder: Any) -> list[Action]:
    return available_actions(holding(*subs, **holder))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("trialing", ["portal", "change_plan", "cancel"]),
        ("active", ["portal", "change_plan", "cancel", "pause"]),
        ("past_due", ["portal", "cancel", "pause", "pay"]),
        ("unpaid", ["portal", "cancel", "pause", "pay"]),
        ("paused", ["portal", "cancel", "resume"]),
        ("incomplete", ["portal", "cancel", "pay"]),
        ("canceled", ["checkout", "portal"]),
        ("incomplete_expired", ["checkout", "portal"]),
    ],
)
def test_each_state_has_its_actions(status: str, expected: list[str]) -> None:
    """Without an add-on to buy, a pause allowed, and the invoice open where one is owed."""
    owes = status in {"past_due", "unpaid", "incomplete"}
    one = sub(status=status, billing=OPEN if owes else Billing())
    bare = with_changes("[pause]\nallowed = true", '[plans.pro]\nname = "Pro"\nprice = "price_pro"\n')
    assert listed(one, catalogue=bare) == expected


def test_a_stranger_may_only_check_out() -> None:
    """With no customer there is no portal; with one and nothing bought there are both."""
    assert listed() == ["checkout"]
    assert listed(customer_id="cus_1") == ["checkout", "portal"]


def test_kind_a_what_is_not_ours_bars_nothing() -> None:
    """A living subscription of another product of the account: the user is a stranger to us."""
    assert listed(sub("sub_1", "price_club")) == ["checkout"]


# --- checkout --------------------------------------------------------------------------------------------


def test_kind_k_a_living_subscription_of_ours_bars_a_second_one() -> None:
    """Every status but the two ends lives, also where it is not shown or its status is not known."""
    for status in ("trialing", "active", "past_due", "unpaid", "paused", "incomplete"):
        held = holding(sub("sub_1", status=status), sub("sub_2", status="canceled", created=T0 + 9))
        assert checkout_of(held, "starter") is Refusal.ALREADY_SUBSCRIBED
    strange = Subscription(subscription_id="sub_1", unknown_status="frozen_by_stripe")
    assert checkout_of(holding(strange), "pro") is Refusal.ALREADY_SUBSCRIBED


def test_an_open_checkout_may_be_finished() -> None:
    """`incomplete` with its session still open: checkout gives its address again; not beside another living one."""
    started = sub(status="incomplete")
    assert checkout_of(holding(started, checkout_until=NOW + 1), "pro") is None
    assert checkout_of(holding(started, checkout_until=NOW), "pro") is Refusal.ALREADY_SUBSCRIBED
    beside = holding(started, sub("sub_2", status="paused"), checkout_until=NOW + 1)
    assert checkout_of(beside, "pro") is Refusal.ALREADY_SUBSCRIBED


def test_an_addon_is_sold_beside_a_plan_that_gives_access_and_once() -> None:
    """Not to a stranger, not to whoever owes, not twice; and a plan is sold to whoever has only add-ons."""
    assert checkout_of(holding(), "ai") is Refusal.NO_PLAN
    assert checkout_of(holding(sub(status="unpaid")), "ai") is Refusal.NO_PLAN
    assert checkout_of(holding(sub()), "ai") is None
    held = holding(sub(), sub("sub_2", "price_ai"))
    assert checkout_of(held, "ai") is Refusal.ALREADY_SUBSCRIBED
    assert checkout_of(held, "storage") is None
    assert checkout_of(holding(sub("sub_2", "price_ai")), "pro") is None
    assert checkout_of(holding(), "retired") is Refusal.NOT_SOLD


# --- verbs on what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (sub(), None),
        (sub(status="trialing"), None),
        (sub(status="canceled"), Refusal.NO_SUBSCRIPTION),
        (sub(status="past_due"), Refusal.PAST_DUE),
        (sub(status="incomplete"), Refusal.PAST_DUE),
        (sub(status="paused"), Refusal.PAUSED),
        (sub(collection_paused=True), Refusal.PAUSED),
        (sub(cancel_at=NOW + DAY), Refusal.ENDING),
        (sub(pending_update=WAITING), Refusal.CHANGE_PENDING),
        (sub(schedule=OURS), None),
        (sub(schedule=Schedule("s", (AHEAD[0],), copied=True)), None),
        (sub(schedule=THEIRS), Refusal.FOREIGN_SCHEDULE),
        (sub(schedule=Schedule("s")), Refusal.FOREIGN_SCHEDULE),
        (sub("sub_1", "price_pro", "price_starter"), Refusal.SEVERAL_ITEMS),
        (sub("sub_1", "price_pro", "price_ai"), None),
    ],
)
def test_kind_j_change_plan(one: Subscription, expected: Refusal | None) -> None:
    """Not while it ends, owes, is paused, or somebody else's schedule would overwrite it; add-ons don't count."""
    assert actions.change_plan(holding(one)) is expected


def test_kind_j_undo_change() -> None:
    """What waits for its payment, or for a date on a schedule of ours; nobody else's schedule."""
    assert actions.undo_change(holding(sub())) is Refusal.NOTHING_TO_UNDO
    assert actions.undo_change(holding(sub(pending_update=WAITING))) is None
    assert actions.undo_change(holding(sub(schedule=OURS))) is None
    assert actions.undo_change(holding(sub(schedule=THEIRS))) is Refusal.FOREIGN_SCHEDULE
    assert (
        actions.undo_change(holding(sub(schedule=Schedule("s", (AHEAD[0],), copied=True)))) is Refusal.NOTHING_TO_UNDO
    )


@pytest.mark.parametrize(
    ("one", "period_end", "now"),
    [
        (sub(), None, Refusal.NOT_OFFERED),
        (sub(cancel_at=NOW + DAY), Refusal.ENDING, Refusal.NOT_OFFERED),
        (sub(status="past_due"), Refusal.NOT_OFFERED, None),
        (sub(status="incomplete"), Refusal.NOT_OFFERED, None),
        (sub(status="paused"), Refusal.NOT_OFFERED, None),
        (sub(schedule=THEIRS), Refusal.FOREIGN_SCHEDULE, None),
        (sub(schedule=OURS), None, Refusal.NOT_OFFERED),
        (sub(status="canceled"), Refusal.NO_SUBSCRIPTION, Refusal.NO_SUBSCRIPTION),
    ],
)
def test_kind_j_cancel(one: Subscription, period_end: Refusal | None, now: Refusal | None) -> None:
    """By `[cancel]`; what is overdue ends at once, and under another's schedule `now` is the only way out."""
    held = holding(one)
    assert (cancel_at(held, "period_end"), cancel_at(held, "now")) == (period_end, now)
    assert ("cancel" in available_actions(held)) is (None in (period_end, now))


def test_cancel_follows_the_policy() -> None:
    """`when` may allow both, and what is overdue may be left to its period's end."""
    both = with_changes('[cancel]\nwhen = ["period_end", "now"]\noverdue = "period_end"')
    assert [cancel_at(holding(sub(), catalogue=both), when) for when in ("period_end", "now")] == [None, None]
    assert cancel_at(holding(sub(status="past_due"), catalogue=both), "period_end") is None
    assert actions.cancel(holding(sub(cancel_at=NOW + DAY), catalogue=both)) is None


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (sub(), Refusal.NOTHING_TO_RESUME),
        (sub(cancel_at=NOW + DAY), None),
        (sub(status="paused", paused_by="trial_end_without_payment_method"), None),
        (sub(collection_paused=True), None),
        (sub(status="past_due", cancel_at=NOW + DAY), None),
        (sub(cancel_at=NOW + DAY, schedule=THEIRS), Refusal.FOREIGN_SCHEDULE),
        (sub(status="canceled"), Refusal.NO_SUBSCRIPTION),
    ],
)
def test_kind_j_resume(one: Subscription, expected: Refusal | None) -> None:
    """A planned end, Stripe's pause, a trial that ended without a card, a paused collection."""
    assert actions.resume(holding(one)) is expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (sub(), None),
        (sub(billing_mode="classic"), Refusal.NOT_OFFERED),
        (sub(billing_mode=None), Refusal.NOT_OFFERED),
        (sub(charges_automatically=False), Refusal.NOT_OFFERED),
        (sub(status="trialing"), Refusal.IN_TRIAL),
        (sub(status="incomplete"), Refusal.PAST_DUE),
        (sub(status="past_due"), None),
        (sub(status="paused"), Refusal.PAUSED),
        (sub(cancel_at=NOW + DAY), Refusal.ENDING),
        (sub(schedule=THEIRS), Refusal.FOREIGN_SCHEDULE),
        (sub(schedule=OURS), None),
        (sub(pending_update=WAITING), Refusal.CHANGE_PENDING),
    ],
)
def test_kind_j_pause(one: Subscription, expected: Refusal | None) -> None:
    """Only where the file allows it and Stripe can: flexible billing mode, charged by itself, not in a trial."""
    assert actions.pause(holding(one, catalogue=PAUSING)) is expected
    assert actions.pause(holding(one)) is not None


def test_pay_is_for_an_open_invoice() -> None:
    """Listed while one is open, of what is shown."""
    assert actions.pay(holding(sub(billing=OPEN))) is None
    assert actions.pay(holding(sub())) is Refusal.NOTHING_TO_PAY
    assert actions.pay(holding(sub(status="canceled", billing=OPEN))) is Refusal.NO_SUBSCRIPTION
