"""Invoices, as far as access and support need them: how far each has come, and when it first failed.

An invoice never moves a subscription's state.  What it says is merged: the furthest word about an invoice
wins, whatever order the words arrive in, so what is kept needs no order at all.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engine.states import LIVING, State, Subscription

_RANK: Final = {"draft": 0, "open": 1, "uncollectible": 2, "void": 3, "paid": 4}
_OWING: Final = frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_SETTLED: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_NOT_WAITING: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE})


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of a subscription.  Times in seconds; `heard_at` is the `created` of the newest word used.

    `failed_at` is the earliest `created` of the events that told of a failed payment.
    """

    invoice_id: str
    subscription_id: str
    created: int = 0
    status: str = "draft"
    attempt_count: int = 0
    failed_at: int | None = None
    failure_code: str | None = None
    finalized_at: int | None = None
    next_attempt: int | None = None
    hosted_url: str | None = None
    heard_at: int = 0

    @property
    def owed_since(self) -> int | None:
        """When this bill began to be owed in vain: None unless it is open and a payment of it failed."""
        if self.status != "open":
            return None
        return self.failed_at or (self.finalized_at if self.attempt_count else None)


def _progress(bill: Bill) -> tuple[int, int, int, str]:
    return _RANK.get(bill.status, 0), bill.attempt_count, bill.heard_at, repr(bill)


def merge(known: Bill | None, heard: Bill) -> Bill:
    """Join two words about one invoice; commutative, associative, and the same word twice changes nothing."""
    if known is None:
        return heard
    further = max(known, heard, key=_progress)
    failures = [at for at in (known.failed_at, heard.failed_at) if at is not None]
    return msgspec.structs.replace(
        further,
        failed_at=min(failures, default=None),
        failure_code=further.failure_code or known.failure_code or heard.failure_code,
        finalized_at=further.finalized_at or known.finalized_at or heard.finalized_at,
        hosted_url=further.hosted_url or known.hosted_url or heard.hosted_url,
        heard_at=max(known.heard_at, heard.heard_at),
    )


def expected_states(bill: Bill, known: Subscription) -> frozenset[State]:
    """The states of a living subscription that do not contradict this bill; outside of them Stripe is asked.

    Only the latest invoice says anything about the status (docs.stripe.com/billing/subscriptions/overview).
    """
    latest = known.facts.latest_invoice if known.facts else None
    if latest is not None and latest != bill.invoice_id and bill.created <= known.as_of:
        return LIVING
    match bill.status:
        case "paid":
            return _SETTLED
        case "open" if bill.owed_since is not None:
            return _OWING
        case "uncollectible":
            return _SETTLED
        case "void":
            return _NOT_WAITING
        case _:
            return LIVING
