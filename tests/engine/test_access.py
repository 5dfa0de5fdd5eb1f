"""Who may use the product: every reason there is, and the exact second at which it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.access import RULES, Access, Reason, access
from interlock.engine.core.plans import AccessPolicy
from interlock.engine.core.states import Billing, State, Subscription
from tests.engine.conftest import read
from tests.kit.bodies import DAY, MONTH, T0, Sub

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
    assert access(Subscription(subscription_id=""), WEEK, NOW) == Access(False, Reason.NONE, None)


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


PAUSED = {"behavior": "void", "resumes_at": None}


@pytest.mark.parametrize(
    ("policy", "paid_until", "expected"),
    [
        ("paid", T0 + 3 * DAY, (True, "paid", T0 + 3 * DAY)),
        ("paid", NOW, (False, "collection_paused", None)),
        ("paid", None, (False, "collection_paused", None)),
        ("deny", T0 + 3 * DAY, (False, "collection_paused", None)),
        ("grant", None, (True, "paid", None)),
    ],
)
def test_kind_i_paused_collection_is_a_policy(policy: Any, paid_until: int | None, expected: Any) -> None:
    """Case I: while Stripe's collection is paused, access lasts as long as was paid for, or as the file says."""
    rule = AccessPolicy(collection_paused=policy)
    assert asked(Sub(pause_collection=PAUSED), policy=rule, billing=Billing(paid_until=paid_until)) == expected


def test_kind_i_a_trial_is_paid_for() -> None:
    """A trial with its collection paused goes on until its end."""
    sub = Sub(status="trialing", trial_end=T0 + 3 * DAY, pause_collection=PAUSED)
    assert asked(sub) == (True, "trialing", T0 + 3 * DAY)


@pytest.mark.parametrize("status", ["active", "trialing", "past_due"])
def test_kind_i_what_was_never_paid_and_given_up_gives_nothing(status: str) -> None:
    """Case I: the first bank debit bounced, Stripe voided the invoice and left `active`: that is no payment."""
    assert asked(Sub(status=status), billing=Billing(given_up=True)) == (False, "payment_failed", None)


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


def test_paused_collection_that_resumes_within_what_is_paid_changes_nothing() -> None:
    """It resumes before what was paid for is over: the answer never changes by the clock."""
    sub = Sub(pause_collection={"behavior": "void", "resumes_at": T0 + 2 * DAY})
    assert asked(sub, billing=Billing(paid_until=T0 + 9 * DAY)) == (True, "paid", None)


def test_every_reason_is_the_tables() -> None:
    """The table has a rule for each of the contract's reasons but a grant's; each says why, in words."""
    assert {rule.reason for rule in RULES} == set(Reason) - {Reason.GRANT}
    assert all(rule.why for rule in RULES)


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
BILLINGS = st.builds(Billing, paid_until=st.none() | st.integers(T0, T0 + 10 * DAY), given_up=st.booleans())
NOWS = st.integers(T0, T0 + 10 * DAY)


@given(SUBS, NOWS, st.none() | st.integers(T0 - 9 * DAY, T0 + DAY), BILLINGS)
def test_until_is_when_the_clock_alone_changes_the_answer(
    sub: Sub, now: int, unpaid_since: int | None, billing: Billing
) -> None:
    """Until that second the same answer, at it another; without an `until` the clock never changes it."""
    one = held(sub, unpaid_since=unpaid_since, billing=billing)
    answer = access(one, WEEK, now)
    if answer.until is None:
        assert access(one, WEEK, now + 400 * DAY) == answer
    else:
        assert answer.until > now
        later = access(one, WEEK, answer.until)
        assert access(one, WEEK, answer.until - 0.5) == answer
        assert (later.granted, later.reason) != (answer.granted, answer.reason)


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
