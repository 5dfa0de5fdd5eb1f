"""Invoices, as far as access and support need them: how far each has come, and what they say together.

An invoice never moves a subscription's state.  What is said of one is merged: the furthest report wins, whatever
order the reports arrive in, so what is kept needs no order at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from interlock.engine.core.states import LIVING, Billing, State, Subscription

_RANK: Final = {"draft": 0, "open": 1, "uncollectible": 2, "void": 3, "paid": 4}
_GIVEN_UP: Final = frozenset({"uncollectible", "void"})
_OWING: Final = frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_SETTLED: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_NOT_WAITING: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE})


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of a subscription.  Times in seconds; `reported_at` is the `created` of the furthest report.

    `failed_at` is the earliest `created` of the events that told of a failed payment.  `failure_code` is Stripe's
    decline code of the attempt number `failure_attempt`.  `period_end` is the latest end of the periods that its
    lines bill.  `is_first`: it is the invoice with which the subscription began.
    """

    invoice_id: str
    subscription_id: str
    created: int = 0
    status: str = "draft"
    attempt_count: int = 0
    failed_at: int | None = None
    failure_code: str | None = None
    failure_attempt: int = 0
    finalized_at: int | None = None
    next_attempt: int | None = None
    hosted_url: str | None = None
    period_end: int | None = None
    is_first: bool = False
    reported_at: int = 0

    @property
    def owed_since(self) -> int | None:
        """When this invoice began to be owed in vain: None unless it is open and a payment of it failed."""
        return self._failed_since if self.status == "open" else None

    @property
    def given_up(self) -> bool:
        """Whether a payment of it failed, and it was then voided or written off."""
        return self.status in _GIVEN_UP and self._failed_since is not None

    @property
    def lacks_code(self) -> bool:
        """Whether a payment failed and its decline code is not known yet; the payment says it."""
        return self.owed_since is not None and self.failure_attempt < max(self.attempt_count, 1)

    @property
    def _failed_since(self) -> int | None:
        return self.failed_at or (self.finalized_at if self.attempt_count else None)


def _progress(invoice: Invoice) -> tuple[int, int, int, int, int, str]:
    """The sort key of `merge`; it contains each field taken from the furthest report, so equal keys mean equals."""
    rank, next_attempt = _RANK.get(invoice.status, 0), -1 if invoice.next_attempt is None else invoice.next_attempt
    return rank, invoice.attempt_count, invoice.reported_at, invoice.created, next_attempt, invoice.status


def merge(known: Invoice | None, reported: Invoice) -> Invoice:
    """Join two reports of one invoice; commutative, associative, and the same report twice changes nothing."""
    if known is None:
        return reported
    both = (known, reported)
    failure = max(both, key=lambda one: (one.failure_attempt, one.failure_code or ""))
    return msgspec.structs.replace(
        max(both, key=_progress),
        failure_code=failure.failure_code,
        failure_attempt=failure.failure_attempt,
        failed_at=min((one.failed_at for one in both if one.failed_at is not None), default=None),
        finalized_at=max((one.finalized_at for one in both if one.finalized_at is not None), default=None),
        hosted_url=max((one.hosted_url for one in both if one.hosted_url is not None), default=None),
        period_end=max((one.period_end for one in both if one.period_end is not None), default=None),
        is_first=any(one.is_first for one in both),
    )


def summarise(invoices: Iterable[Invoice]) -> tuple[int | None, Billing]:
    """Return since when one of a subscription's invoices is owed in vain, and what else they say together.

    In any order.  An open invoice that is older than the newest paid one was given up, and is not counted as owed.
    """
    kept = sorted(invoices, key=lambda one: (one.created, one.invoice_id))
    paid = [one for one in kept if one.status == "paid"]
    since = max((one.created for one in paid), default=0)
    waiting = [one for one in kept if one.status == "open" and one.created >= since]
    owed = [one for one in waiting if one.owed_since is not None]
    unpaid_since = min((one.owed_since for one in owed if one.owed_since is not None), default=None)
    return unpaid_since, Billing(
        failure_code=owed[-1].failure_code if owed else None,
        next_attempt=owed[-1].next_attempt if owed else None,
        open_invoice=waiting[-1].invoice_id if waiting else None,
        open_url=waiting[-1].hosted_url if waiting else None,
        paid_until=max((one.period_end for one in paid if one.period_end is not None), default=None),
        given_up=not paid and any(one.is_first and one.given_up for one in kept),
    )


def expected_states(invoice: Invoice, known: Subscription) -> frozenset[State]:
    """The states of a living subscription that do not contradict this invoice; outside of them Stripe is asked.

    Only the latest invoice says anything about the status (docs.stripe.com/billing/subscriptions/overview).
    """
    latest = known.facts.latest_invoice if known.facts else None
    if latest is not None and latest != invoice.invoice_id and invoice.created <= known.as_of:
        return LIVING
    match invoice.status:
        case "paid":
            return _SETTLED
        case "open" if invoice.owed_since is not None:
            return _OWING
        case "uncollectible":
            return _SETTLED
        case "void":
            return _NOT_WAITING
        case _:
            return LIVING
