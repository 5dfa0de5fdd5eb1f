"""Invoices, as far as access and support need them: how far each has come, and when it first failed.

An invoice never moves a subscription's state.  What it says is merged: the furthest word about an invoice
wins, whatever order the words arrive in, so what is kept needs no order at all.
"""

from __future__ import annotations

from typing import Final

import msgspec

from interlock.engine.core.states import LIVING, State, Subscription

_RANK: Final = {"draft": 0, "open": 1, "uncollectible": 2, "void": 3, "paid": 4}
_OWING: Final = frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_SETTLED: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE, State.PAUSED})
_NOT_WAITING: Final = LIVING - frozenset({State.PAST_DUE, State.UNPAID, State.INCOMPLETE})


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of a subscription.  Times in seconds; `heard_at` is the `created` of the furthest word.

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


def _progress(bill: Bill) -> tuple[int, int, int, int, int, str, str]:
    """How far a word is; it holds all that is taken from the furthest, so that a tie is no matter."""
    rank, next_attempt = _RANK.get(bill.status, 0), -1 if bill.next_attempt is None else bill.next_attempt
    attempts, code = bill.attempt_count, bill.failure_code or ""
    return rank, attempts, bill.heard_at, bill.created, next_attempt, bill.status, code


def merge(known: Bill | None, heard: Bill) -> Bill:
    """Join two words about one invoice; commutative, associative, and the same word twice changes nothing."""
    if known is None:
        return heard
    both = (known, heard)
    return msgspec.structs.replace(
        max(both, key=_progress),
        failed_at=min((bill.failed_at for bill in both if bill.failed_at is not None), default=None),
        finalized_at=max((bill.finalized_at for bill in both if bill.finalized_at is not None), default=None),
        hosted_url=max((bill.hosted_url for bill in both if bill.hosted_url is not None), default=None),
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
