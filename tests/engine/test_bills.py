"""Invoices: what is kept of them needs no order."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.invoices import Bill, expected_states, merge
from interlock.engine.core.states import LIVING, Facts, State, Subscription

BILLS = st.builds(
    Bill,
    invoice_id=st.just("in_1"),
    subscription_id=st.just("sub_1"),
    created=st.integers(0, 1),
    status=st.sampled_from(["draft", "open", "uncollectible", "void", "paid", "a_new_one"]),
    attempt_count=st.integers(0, 2),
    failed_at=st.none() | st.integers(1, 3),
    failure_code=st.none() | st.sampled_from(["card_declined", "expired_card"]),
    finalized_at=st.none() | st.integers(1, 2),
    next_attempt=st.none() | st.integers(1, 2),
    hosted_url=st.none() | st.sampled_from(["https://a", "https://b"]),
    heard_at=st.integers(0, 3),
)


def bill(status: str = "open", **changes: object) -> Bill:
    return msgspec.structs.replace(Bill(invoice_id="in_1", subscription_id="sub_1", status=status), **changes)


@given(BILLS, BILLS)
def test_merge_is_commutative(one: Bill, other: Bill) -> None:
    """Two words about an invoice join to the same, whichever came first."""
    assert merge(one, other) == merge(other, one)


@given(BILLS, BILLS, BILLS)
def test_merge_is_associative(one: Bill, other: Bill, third: Bill) -> None:
    """Three words join to the same in any order."""
    joined = {merge(merge(a, b), c) for a, b, c in itertools.permutations((one, other, third))}
    assert joined == {merge(one, merge(other, third))}


@given(BILLS, BILLS)
def test_merge_is_idempotent(one: Bill, other: Bill) -> None:
    """The same word twice changes nothing."""
    assert merge(one, one) == one
    assert merge(merge(one, other), other) == merge(one, other)


def test_the_first_word_stands_alone() -> None:
    """With nothing known, what is heard is what is known."""
    assert merge(None, bill()) == bill()


@pytest.mark.parametrize("words", list(itertools.permutations(["draft", "open", "uncollectible", "paid"])))
def test_the_furthest_word_wins(words: tuple[str, ...]) -> None:
    """A late `open` does not take back that it was paid."""
    joined = None
    for status in words:
        joined = merge(joined, bill(status, heard_at=100 - len(status)))
    assert joined is not None
    assert joined.status == "paid"


def test_the_earliest_failure_is_kept() -> None:
    """Grace runs from the first failed payment, in whatever order the failures are heard of."""
    for first, second in ((10, 20), (20, 10)):
        joined = merge(bill(failed_at=first, attempt_count=1), bill(failed_at=second, attempt_count=2))
        assert joined.owed_since == 10
        assert joined.attempt_count == 2


@pytest.mark.parametrize("status", ["draft", "uncollectible", "void", "paid"])
def test_a_bill_that_is_not_open_is_not_owed(status: str) -> None:
    """Once paid, given up or voided, its failure no longer counts."""
    assert bill(status, failed_at=10, attempt_count=3, finalized_at=5).owed_since is None


def test_a_failure_that_nobody_told_is_dated_by_the_bill() -> None:
    """Stripe's answer shows attempts without saying when: the bill's own date stands in for the first."""
    assert bill(attempt_count=2, finalized_at=5).owed_since == 5
    assert bill(attempt_count=0, finalized_at=5).owed_since is None


def held(status: str, latest: str | None = "in_1") -> Subscription:
    facts = Facts(subscription_id="sub_1", customer_id="cus_1", status=status, latest_invoice=latest)
    return Subscription(subscription_id="sub_1", facts=facts, as_of=100)


@pytest.mark.parametrize(
    ("heard", "agrees"),
    [
        (bill("paid"), {"trialing", "active"}),
        (bill("uncollectible"), {"trialing", "active"}),
        (bill("open", failed_at=10), {"past_due", "unpaid", "incomplete", "paused"}),
        (bill("void"), {"trialing", "active", "paused"}),
        (bill("open"), {str(state) for state in LIVING}),
        (bill("draft"), {str(state) for state in LIVING}),
        (bill("a_new_one"), {str(state) for state in LIVING}),
    ],
    ids=["paid", "uncollectible", "failed", "void", "open", "draft", "unknown"],
)
def test_an_invoice_agrees_with_the_states_it_lets_us_expect(heard: Bill, agrees: set[str]) -> None:
    """Outside of these the invoice contradicts what is known, and Stripe is asked; an unknown id always is."""
    assert {str(state) for state in expected_states(heard, held("active"))} == agrees
    assert State.NONE not in expected_states(heard, held("active"))


def test_an_older_invoice_contradicts_nothing() -> None:
    """Only the most recent invoice says anything about the status: paying an old one asks nothing of Stripe."""
    assert expected_states(bill("paid", created=50), held("past_due", "in_2")) == LIVING
    assert expected_states(bill("paid", created=500), held("past_due", "in_2")) != LIVING
