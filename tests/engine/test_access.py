"""Who may use the product: every reason there is, and the exact second at which it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.access import Access, access, available_actions, best, may_check_out
from interlock.engine.core.catalogue import AccessPolicy
from interlock.engine.core.states import Facts, State, Subscription
from tests.engine.conftest import read
from tests.kit.bodies import DAY, MONTH, T0, Line, Sub

WEEK = AccessPolicy(past_due_grace_days=7)
NOW = T0 + DAY


def held(sub: Sub, *, since: int = T0, unpaid_since: int | None = None, **changes: Any) -> Subscription:
    known = Subscription(
        subscription_id=sub.id, facts=read(sub), as_of=T0, evidence=1, since=since, unpaid_since=unpaid_since
    )
    return msgspec.structs.replace(known, **changes)


def asked(sub: Sub, now: float = NOW, policy: AccessPolicy = WEEK, **changes: Any) -> tuple[bool, str, int | None]:
    answer = access(held(sub, **changes), policy, now)
    return answer.granted, answer.reason, answer.until


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("trialing", (True, "trialing", None)),
        ("active", (True, "paid", None)),
        ("past_due", (True, "grace_period", T0 + 7 * DAY)),
        ("incomplete", (False, "incomplete", None)),
        ("incomplete_expired", (False, "expired", None)),
        ("unpaid", (False, "unpaid", None)),
        ("paused", (False, "paused", None)),
        ("canceled", (False, "canceled", None)),
    ],
)
def test_each_state_has_its_answer(status: str, expected: tuple[bool, str, int | None]) -> None:
    """The reasons, one for each state."""
    assert asked(Sub(status=status)) == expected


def test_nobody_has_no_access() -> None:
    """Without a subscription there is no access, for the reason `none`."""
    assert access(Subscription(subscription_id=""), WEEK, NOW) == Access(False, "none", None)


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_a_status_that_we_do_not_know_gives_none(status: str) -> None:
    """Fail closed: what Stripe calls by a new name grants nothing, whatever it was before."""
    assert asked(Sub(status=status), unknown_status="frozen_by_stripe") == (False, "none", None)


@pytest.mark.parametrize("status", ["trialing", "active"])
@pytest.mark.parametrize("way", [{"cancel_at": T0 + MONTH}, {"cancel_at_period_end": True}], ids=["date", "boolean"])
def test_what_ends_later_is_ending_and_still_paid_for(status: str, way: dict[str, Any]) -> None:
    """Cancelled later, by either of Stripe's ways: access until then, and not a second longer."""
    sub = Sub(status=status, **way)
    assert asked(sub) == (True, "ending", T0 + MONTH)
    assert asked(sub, T0 + MONTH - 0.001) == (True, "ending", T0 + MONTH)
    assert asked(sub, T0 + MONTH) == (False, "canceled", None)


def test_grace_runs_from_the_first_failed_payment() -> None:
    """Not from the receipt of its webhook and not from when the state was seen to change."""
    failed = T0 - 2 * DAY
    sub = Sub(status="past_due")
    assert asked(sub, since=T0, unpaid_since=failed) == (True, "grace_period", failed + 7 * DAY)
    assert asked(sub, failed + 7 * DAY - 1, unpaid_since=failed)[0] is True
    assert asked(sub, failed + 7 * DAY, unpaid_since=failed) == (False, "payment_failed", None)


def test_without_word_of_the_failure_grace_runs_from_the_change() -> None:
    """When no invoice was heard of, the moment at which the state became past_due stands in."""
    assert asked(Sub(status="past_due"), since=T0 - DAY) == (True, "grace_period", T0 + 6 * DAY)


def test_no_grace_is_no_access() -> None:
    """With zero days, a failed payment ends access at once."""
    none = AccessPolicy(past_due_grace_days=0)
    assert asked(Sub(status="past_due"), T0, none, since=T0) == (False, "payment_failed", None)


def test_grace_ends_with_the_subscription() -> None:
    """Whichever comes first: the days of grace, or the date at which it ends."""
    sub = Sub(status="past_due", cancel_at=T0 + 3 * DAY)
    assert asked(sub) == (True, "grace_period", T0 + 3 * DAY)
    assert asked(sub, T0 + 3 * DAY) == (False, "canceled", None)
    later = replace(sub, cancel_at=T0 + 30 * DAY)
    assert asked(later) == (True, "grace_period", T0 + 7 * DAY)


def test_paused_collection_is_no_free_service() -> None:
    """`pause_collection` leaves Stripe's status `active`; access reads the flag."""
    sub = Sub(pause_collection={"behavior": "void", "resumes_at": None})
    assert asked(sub) == (False, "collection_paused", None)


@pytest.mark.parametrize("status", ["trialing", "active", "past_due"])
def test_paused_collection_resumes_at_its_date(status: str) -> None:
    """Stripe resumes by itself at `resumes_at`: the clock alone gives access back, to the second."""
    sub = Sub(status=status, pause_collection={"behavior": "void", "resumes_at": T0 + 2 * DAY})
    assert asked(sub) == (False, "collection_paused", T0 + 2 * DAY)
    assert asked(sub, T0 + 2 * DAY - 0.5) == (False, "collection_paused", T0 + 2 * DAY)
    assert asked(sub, T0 + 2 * DAY)[0] is True


def test_paused_collection_that_ends_before_it_resumes() -> None:
    """The end comes first: the answer changes then."""
    sub = Sub(cancel_at=T0 + 2 * DAY, pause_collection={"behavior": "void", "resumes_at": T0 + 9 * DAY})
    assert asked(sub) == (False, "collection_paused", T0 + 2 * DAY)
    assert asked(sub, T0 + 2 * DAY) == (False, "canceled", None)


@pytest.mark.parametrize("status", ["unpaid", "paused", "canceled", "incomplete", "incomplete_expired"])
def test_a_state_without_access_says_its_own_reason_first(status: str) -> None:
    """The state's own reason stands before a paused collection or an end that is to come."""
    plain = asked(Sub(status=status))
    assert asked(Sub(status=status, cancel_at=T0 + 2 * DAY, pause_collection={"behavior": "void"})) == plain


SUBS = st.builds(
    Sub,
    id=st.sampled_from(["sub_1", "sub_2"]),
    status=st.sampled_from([str(s) for s in State if s is not State.NONE]),
    created=st.integers(T0, T0 + 2),
    cancel_at=st.none() | st.integers(T0, T0 + 10 * DAY),
    cancel_at_period_end=st.booleans(),
    pause_collection=st.none()
    | st.fixed_dictionaries({"behavior": st.just("void"), "resumes_at": st.none() | st.integers(T0, T0 + 10 * DAY)}),
)
NOWS = st.integers(T0, T0 + 10 * DAY)


@given(SUBS, NOWS, st.none() | st.integers(T0 - 9 * DAY, T0 + DAY))
def test_until_is_when_the_clock_alone_changes_the_answer(sub: Sub, now: int, unpaid_since: int | None) -> None:
    """Until that second the same answer, at it another; without an `until` the clock never changes it."""
    one = held(sub, unpaid_since=unpaid_since)
    answer = access(one, WEEK, now)
    if answer.until is None:
        assert access(one, WEEK, now + 400 * DAY) == answer
    else:
        assert answer.until > now
        assert access(one, WEEK, answer.until - 0.5) == answer
        assert access(one, WEEK, answer.until) != answer


@given(SUBS, NOWS)
def test_no_access_without_a_rule_that_grants_it(sub: Sub, now: int) -> None:
    """Only trialing, active and past_due ever grant, and only for the four reasons."""
    answer = access(held(sub), WEEK, now)
    if answer.granted:
        assert sub.status in {"trialing", "active", "past_due"}
        assert answer.reason in {"trialing", "paid", "grace_period", "ending"}
    else:
        assert answer.reason in {
            "none", "incomplete", "expired", "payment_failed", "unpaid", "paused", "collection_paused", "canceled",
        }  # fmt: skip


# --- several subscriptions -------------------------------------------------------------------------------


def chosen(*subs: Sub | Subscription, now: float = NOW) -> str | None:
    several = [sub if isinstance(sub, Subscription) else held(sub) for sub in subs]
    for order in (several, several[::-1]):
        picked = best(order, WEEK, now)
        if picked is not (best(several, WEEK, now)):
            return "depends on the order"
    picked = best(several, WEEK, now)
    return picked and picked.subscription_id


@pytest.mark.parametrize("other", ["past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired"])
def test_the_best_of_several_is_shown(other: str) -> None:
    """Cancelling the duplicate takes no access from the survivor, however new the duplicate is."""
    assert chosen(Sub(id="sub_good"), Sub(id="sub_other", status=other, created=T0 + 99)) == "sub_good"


def test_the_newest_of_equals_is_shown() -> None:
    """Newest by the subscription's own `created`."""
    assert chosen(Sub(id="sub_a", created=T0), Sub(id="sub_b", created=T0 + 1)) == "sub_b"
    assert chosen(Sub(id="sub_b", created=T0), Sub(id="sub_a", created=T0 + 1)) == "sub_a"
    ends = [Sub(id=name, status="canceled", created=at) for name, at in (("sub_a", T0 + 1), ("sub_b", T0))]
    assert chosen(*ends) == "sub_a"


def test_the_longer_access_is_more_access() -> None:
    """What goes on beats what ends, the later end beats the sooner."""
    ending = [Sub(id=f"sub_{n}", cancel_at=T0 + n * DAY, created=T0 - n) for n in (2, 3)]
    assert chosen(*ending) == "sub_3"
    assert chosen(*ending, Sub(id="sub_paid", created=T0 - 9)) == "sub_paid"
    assert chosen(*ending, now=T0 + 2 * DAY + 1) == "sub_3"


def test_one_that_was_never_read_is_not_shown() -> None:
    """A subscription whose facts are not known yet stands for nobody."""
    assert chosen(Subscription(subscription_id="sub_x")) is None
    assert chosen(Subscription(subscription_id="sub_x"), Sub(id="sub_1", status="canceled")) == "sub_1"


# --- what can be done next -------------------------------------------------------------------------------


def actions(*subs: Sub, customer: bool = True, session: bool = False) -> list[str]:
    several = [held(sub) for sub in subs]
    can_check_out = may_check_out(several, open_checkout=session)
    return available_actions(best(several, WEEK, NOW), can_check_out=can_check_out, has_customer=customer)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("trialing", ["portal", "cancel", "change_plan"]),
        ("active", ["portal", "cancel", "change_plan", "pause"]),
        ("past_due", ["portal", "cancel", "pause"]),
        ("unpaid", ["portal", "cancel", "pause"]),
        ("paused", ["portal", "cancel", "resume"]),
        ("incomplete", ["portal", "cancel"]),
        ("canceled", ["checkout", "portal"]),
        ("incomplete_expired", ["checkout", "portal"]),
    ],
)
def test_each_state_has_its_actions(status: str, expected: list[str]) -> None:
    """The portal is always reachable, checkout never while a subscription lives."""
    assert actions(Sub(status=status)) == expected


def test_a_stranger_may_only_check_out() -> None:
    """With no customer there is no portal."""
    assert actions(customer=False) == ["checkout"]
    assert actions() == ["checkout", "portal"]


def test_what_ends_may_be_resumed() -> None:
    """A cancellation that is to come can be taken back; nothing else is changed meanwhile."""
    assert actions(Sub(cancel_at=T0 + 9 * DAY)) == ["portal", "resume"]
    assert actions(Sub(cancel_at_period_end=True, lines=(Line(),))) == ["portal", "resume"]


def test_an_open_checkout_may_be_finished() -> None:
    """`incomplete` with its session still open: checkout gives its address again."""
    assert "checkout" in actions(Sub(status="incomplete"), session=True)
    assert "checkout" not in actions(Sub(status="incomplete"), session=False)


def test_what_sends_bills_is_not_paused() -> None:
    """Stripe pauses only what it charges by itself."""
    assert "pause" not in actions(Sub(collection_method="send_invoice"))


def test_another_living_one_bars_the_checkout() -> None:
    """Every status but the two ends lives, also one that is not shown or not known."""
    assert "checkout" not in actions(Sub(status="canceled", created=T0 + 9), Sub(id="sub_2", status="unpaid"))
    assert "checkout" not in actions(Sub(status="incomplete"), Sub(id="sub_2", status="paused"), session=True)
    strange = Subscription(subscription_id="sub_1", unknown_status="frozen_by_stripe")
    assert not may_check_out([strange], open_checkout=True)
    assert may_check_out([held(Sub(status="canceled")), Subscription(subscription_id="sub_x")], open_checkout=False)


@pytest.mark.parametrize("facts", [None, Facts(subscription_id="s", customer_id="c", status="canceled")])
def test_nothing_is_offered_in_the_portal_of_an_end(facts: Facts | None) -> None:
    """Neither cancel nor resume for what is over or never was."""
    one = Subscription(subscription_id="s", facts=facts)
    offered = available_actions(one, can_check_out=True, has_customer=True)
    assert offered == ["checkout", "portal"]
