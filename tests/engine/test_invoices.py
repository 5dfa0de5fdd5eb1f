"""Invoices: what is kept of them needs no order."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.invoices import Invoice, expected_states, merge, summarise
from interlock.engine.core.states import LIVING, Billing, Facts, State, Subscription

INVOICES = st.builds(
    Invoice,
    invoice_id=st.just("in_1"),
    subscription_id=st.just("sub_1"),
    created=st.integers(0, 1),
    status=st.sampled_from(["draft", "open", "uncollectible", "void", "paid", "a_new_one"]),
    attempt_count=st.integers(0, 2),
    failed_at=st.none() | st.integers(1, 3),
    failure_code=st.none() | st.sampled_from(["card_declined", "expired_card"]),
    failure_attempt=st.integers(0, 2),
    period_end=st.none() | st.integers(1, 2),
    is_first=st.booleans(),
    finalized_at=st.none() | st.integers(1, 2),
    next_attempt=st.none() | st.integers(1, 2),
    hosted_url=st.none() | st.sampled_from(["https://a", "https://b"]),
    reported_at=st.integers(0, 3),
)


def invoice(status: str = "open", **changes: object) -> Invoice:
    return msgspec.structs.replace(Invoice(invoice_id="in_1", subscription_id="sub_1", status=status), **changes)


@given(INVOICES, INVOICES)
def test_merge_is_commutative(one: Invoice, other: Invoice) -> None:
    """Two words about an invoice join to the same, whichever came first."""
    assert merge(one, other) == merge(other, one)


@given(INVOICES, INVOICES, INVOICES)
def test_merge_is_associative(one: Invoice, other: Invoice, third: Invoice) -> None:
    """Three words join to the same in any order."""
    joined = {merge(merge(a, b), c) for a, b, c in itertools.permutations((one, other, third))}
    assert joined == {merge(one, merge(other, third))}


@given(INVOICES, INVOICES)
def test_merge_is_idempotent(one: Invoice, other: Invoice) -> None:
    """The same word twice changes nothing."""
    assert merge(one, one) == one
    assert merge(merge(one, other), other) == merge(one, other)


def test_the_first_word_stands_alone() -> None:
    """With nothing known, what is heard is what is known."""
    assert merge(None, invoice()) == invoice()


@pytest.mark.parametrize("words", list(itertools.permutations(["draft", "open", "uncollectible", "paid"])))
def test_the_furthest_word_wins(words: tuple[str, ...]) -> None:
    """A late `open` does not take back that it was paid."""
    joined = None
    for status in words:
        joined = merge(joined, invoice(status, reported_at=100 - len(status)))
    assert joined is not None
    assert joined.status == "paid"


def test_the_earliest_failure_is_kept() -> None:
    """Grace runs from the first failed payment, in whatever order the failures are heard of."""
    for first, second in ((10, 20), (20, 10)):
        joined = merge(invoice(failed_at=first, attempt_count=1), invoice(failed_at=second, attempt_count=2))
        assert joined.owed_since == 10
        assert joined.attempt_count == 2


@pytest.mark.parametrize("status", ["draft", "uncollectible", "void", "paid"])
def test_a_bill_that_is_not_open_is_not_owed(status: str) -> None:
    """Once paid, given up or voided, its failure no longer counts."""
    assert invoice(status, failed_at=10, attempt_count=3, finalized_at=5).owed_since is None


def test_a_failure_that_nobody_told_is_dated_by_the_bill() -> None:
    """Stripe's answer shows attempts without saying when: the bill's own date stands in for the first."""
    assert invoice(attempt_count=2, finalized_at=5).owed_since == 5
    assert invoice(attempt_count=0, finalized_at=5).owed_since is None


def held(status: str, latest: str | None = "in_1") -> Subscription:
    facts = Facts(subscription_id="sub_1", customer_id="cus_1", status=status, latest_invoice=latest)
    return Subscription(subscription_id="sub_1", facts=facts, as_of=100)


@pytest.mark.parametrize(
    ("heard", "agrees"),
    [
        (invoice("paid"), {"trialing", "active"}),
        (invoice("uncollectible"), {"trialing", "active"}),
        (invoice("open", failed_at=10), {"past_due", "unpaid", "incomplete", "paused"}),
        (invoice("void"), {"trialing", "active", "paused"}),
        (invoice("open"), {str(state) for state in LIVING}),
        (invoice("draft"), {str(state) for state in LIVING}),
        (invoice("a_new_one"), {str(state) for state in LIVING}),
    ],
    ids=["paid", "uncollectible", "failed", "void", "open", "draft", "unknown"],
)
def test_an_invoice_agrees_with_the_states_it_lets_us_expect(heard: Invoice, agrees: set[str]) -> None:
    """Outside of these the invoice contradicts what is known, and Stripe is asked; an unknown id always is."""
    assert {str(state) for state in expected_states(heard, held("active"))} == agrees
    assert State.NONE not in expected_states(heard, held("active"))


def test_an_older_invoice_contradicts_nothing() -> None:
    """Only the most recent invoice says anything about the status: paying an old one asks nothing of Stripe."""
    assert expected_states(invoice("paid", created=50), held("past_due", "in_2")) == LIVING
    assert expected_states(invoice("paid", created=500), held("past_due", "in_2")) != LIVING


def several(*invoices: Invoice) -> tuple[int | None, Billing]:
    """What they say together, whatever order they come in."""
    answers = [summarise(order) for order in itertools.permutations(invoices)]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def numbered(number: int, status: str, **changes: object) -> Invoice:
    return invoice(status, invoice_id=f"in_{number}", created=number, **changes)


def test_kind_i_what_was_paid_for_is_the_last_paid_period() -> None:
    """Not the period of a void invoice after it, nor the one that Stripe moves on with."""
    paid, void = numbered(1, "paid", period_end=100), numbered(2, "void", period_end=200)
    assert several(paid, void)[1].paid_until == 100
    assert several(void)[1].paid_until is None


@pytest.mark.parametrize(
    ("invoices", "given_up"),
    [
        ((numbered(1, "void", is_first=True, failed_at=5),), True),
        ((numbered(1, "uncollectible", is_first=True, attempt_count=1, finalized_at=5),), True),
        ((numbered(1, "void", is_first=True),), False),
        ((numbered(1, "open", is_first=True, failed_at=5),), False),
        ((numbered(2, "void", failed_at=5),), False),
        ((numbered(1, "void", is_first=True, failed_at=5), numbered(2, "paid")), False),
        ((numbered(1, "void", is_first=True, failed_at=5), numbered(2, "open")), True),
        ((), False),
    ],
)
def test_kind_i_given_up_is_a_first_invoice_that_failed(invoices: tuple[Invoice, ...], given_up: bool) -> None:
    """Voided or written off after a failed payment, and nothing ever paid; one first seen in mid-life is not."""
    assert several(*invoices)[1].given_up is given_up


def test_kind_n_the_newest_open_invoice_is_the_one_to_pay() -> None:
    """With its page; what failed says why and when it is tried again; older ones than a paid one are forgotten."""
    old = numbered(1, "open", failed_at=3, failure_code="expired_card", failure_attempt=1)
    since, billing = several(old, numbered(2, "open", hosted_url="https://two"))
    told = (billing.open_invoice, billing.open_url, billing.failure_code)
    assert (since, *told) == (3, "in_2", "https://two", "expired_card")
    since, billing = several(old, numbered(2, "paid"))
    assert (since, billing) == (None, Billing())


@pytest.mark.parametrize(
    ("heard", "lacks"),
    [
        (invoice(failed_at=5, attempt_count=1), True),
        (invoice(failed_at=5, attempt_count=1, failure_code="expired_card", failure_attempt=1), False),
        (invoice(failed_at=5, attempt_count=2, failure_code="expired_card", failure_attempt=1), True),
        (invoice("paid", failed_at=5, attempt_count=1), False),
        (invoice(), False),
    ],
)
def test_kind_n_why_it_failed_is_asked_once_an_attempt(heard: Invoice, lacks: bool) -> None:
    """The invoice's events do not say it; the payment does."""
    assert heard.lacks_code is lacks
