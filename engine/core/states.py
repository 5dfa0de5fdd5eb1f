"""The words of the house: states, facts, evidence, decisions.  Frozen values, nothing that acts.

All times are whole seconds since 1970 in UTC, on Stripe's clock where a value comes from Stripe.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class State(StrEnum):
    """Stripe's eight subscription statuses, and `none` for a subscription not seen yet."""

    NONE = "none"
    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ENDED: Final = frozenset({State.CANCELED, State.INCOMPLETE_EXPIRED})
LIVING: Final = frozenset(State) - ENDED - {State.NONE}
STATUSES: Final = {str(state): state for state in State if state is not State.NONE}


class Outcome(StrEnum):
    """What came of one event; told in the webhook's answer and in the history."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    STALE = "stale"
    REFUSED = "refused"
    PENDING = "pending"
    IGNORED = "ignored"
    UNLINKED = "unlinked"
    FAILED = "failed"


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a subscription: which price, how many."""

    price_id: str
    quantity: int = 1
    lookup_key: str | None = None


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What Stripe says of one subscription, the same for every API version.

    `status` is Stripe's text, kept even when it is none of the eight we know.
    `current_period_end` is the earliest of the items' ends; `cancel_at` covers both of Stripe's ways to end
    later; `user_id` is the subscription's own `metadata.user_id`.
    """

    subscription_id: str
    customer_id: str
    status: str
    created: int = 0
    items: tuple[Item, ...] = ()
    user_id: str | None = None
    current_period_end: int | None = None
    trial_end: int | None = None
    cancel_at: int | None = None
    ended_at: int | None = None
    collection_paused: bool = False
    collection_resumes_at: int | None = None
    charges_automatically: bool = True
    latest_invoice: str | None = None
    test_clock: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What we hold of one subscription: the facts, and how we came to hold them.

    `as_of` is the latest moment (Stripe's clock) that the facts are known to describe.  `evidence` counts what
    was heard of it, applied or unchanged or asked about: an answer of Stripe's may be committed only while
    this count stands where it stood when the asking began.  `since` is when the status was last seen to change.
    `unpaid_since` is when the first payment of the oldest open bill failed; one older than a paid bill was given up.
    `unknown_status` is set while Stripe's last answer was a status that this program does not know.
    """

    subscription_id: str
    facts: Facts | None = None
    as_of: int = 0
    evidence: int = 0
    since: int = 0
    unpaid_since: int | None = None
    unknown_status: str | None = None

    @property
    def state(self) -> State:
        """The machine's state; `none` before anything is known."""
        return State.NONE if self.facts is None else STATUSES[self.facts.status]

    @property
    def lives(self) -> bool:
        """Whether it has not ended; a status that we do not know is no end."""
        return self.state in LIVING or (self.facts is None and self.unknown_status is not None)


class Kind(StrEnum):
    """How much a piece of evidence can prove."""

    SNAPSHOT = "snapshot"
    """A webhook that carries the whole subscription."""
    HINT = "hint"
    """A webhook about something else (an invoice, a checkout) that lets us expect a state."""
    ANSWER = "answer"
    """What Stripe answered when it was asked."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How we came to hear of some facts.

    `created` is the event's `created`, or the `Date` of Stripe's answer.  `previous` are the whole facts as
    they were before the event, where it says so.  `consistent_with` are the states that a hint lets us
    expect.  `evidence_at_ask` is the subscription's evidence count when the asking began.
    """

    kind: Kind
    created: int
    previous: Facts | None = None
    consistent_with: frozenset[State] = frozenset()
    evidence_at_ask: int | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What `decide` made of a piece of evidence.

    `after` is the subscription to hold from now on, also where only its count of evidence moved.
    `trigger` names the transition that fired, `guard` the predicate that said no.
    An outcome `pending` means: ask Stripe.
    """

    outcome: Outcome
    after: Subscription
    before: State
    trigger: str | None = None
    guard: str | None = None
