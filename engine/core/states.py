"""The values that everything else is made of: states, facts, evidence, decisions.  Frozen values, nothing that acts.

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
    """What came of one event; it stands in the webhook's answer and in the history."""

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
    """One item of a subscription: which price, how many, and what of the price was said.

    `interval` is Stripe's (`day`, `week`, `month`, `year`), each `interval_count` of them.  `unit_amount` is in
    the currency's smallest unit, None where the price has tiers or a fraction.  `period_end` is the item's own, None
    where the API version of an event has one for the whole subscription.
    """

    price_id: str
    quantity: int = 1
    lookup_key: str | None = None
    item_id: str | None = None
    product: str | None = None
    interval: str | None = None
    interval_count: int = 1
    metered: bool = False
    unit_amount: int | None = None
    currency: str | None = None
    period_end: int | None = None


class Phase(msgspec.Struct, frozen=True, omit_defaults=True):
    """One phase of a subscription schedule: from `start` until `end`, these items."""

    start: int
    end: int | None = None
    items: tuple[Item, ...] = ()


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """The subscription schedule that is attached.

    A webhook carries its id alone; then `phases` is None, and Stripe is asked.  `phases` are the present one and
    those to come.  `mark` is `metadata.interlock`, which the schedules that we make carry.  `copied` is true for
    what `from_subscription` makes and nobody has changed yet: one phase, no metadata, released at its end.
    """

    id: str
    phases: tuple[Phase, ...] | None = None
    mark: str | None = None
    copied: bool = False

    @property
    def ours(self) -> bool:
        """Whether we made it.  A copy without a mark is what a crash left of one of ours."""
        return self.mark is not None or self.copied


class PendingUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that Stripe makes once its invoice is paid, and drops at `expires_at`."""

    expires_at: int
    items: tuple[Item, ...] = ()
    trial_end: int | None = None


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What Stripe says of one subscription, the same for every API version.

    `status` is Stripe's text, kept even when it is none of the eight we know.
    `current_period_end` is the earliest of the items' ends; `cancel_at` covers both of Stripe's ways to end
    later; `user_id` is the user whom the subscription's own metadata names.
    `items_cut`: Stripe listed only the first items, and the others must be asked for.
    `has_payment_method`: the subscription has one of its own (its customer may have another).
    `paused_by` is Stripe's word for why the status is `paused` (`trial_end_without_payment_method`, ...).
    `billing_mode`, `livemode` and `paused_by` are None where the API version of an event does not say them.
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
    items_cut: bool = False
    billing_mode: str | None = None
    livemode: bool | None = None
    schedule: Schedule | None = None
    pending_update: PendingUpdate | None = None
    cancel_reason: str | None = None
    cancel_feedback: str | None = None
    cancel_comment: str | None = None
    has_payment_method: bool = False
    paused_by: str | None = None

    def completed_by(self, known: Facts | None) -> Facts:
        """Return the same facts, with what a webhook can't say taken from what is known of the subscription.

        That is: what its API version has no field for, the phases of the same schedule, and the items beyond
        a list that was cut, where the listed ones are the same.
        """
        if known is None:
            return self
        unsaid: dict[str, object] = {}
        for name in ("billing_mode", "livemode"):
            if getattr(self, name) is None and getattr(known, name) is not None:
                unsaid[name] = getattr(known, name)
        if self.paused_by is None and known.paused_by is not None and self.status == known.status:
            unsaid["paused_by"] = known.paused_by
        mine, theirs = self.schedule, known.schedule
        if mine is not None and mine.phases is None and theirs is not None and mine.id == theirs.id:
            unsaid["schedule"] = theirs
        if self.items_cut and self.items == known.items[: len(self.items)]:
            unsaid |= {"items": known.items, "items_cut": known.items_cut}
        if self._says_no_ends and self.current_period_end == known.current_period_end:
            ends = [item.period_end for item in known.items]
            if len(ends) == len(self.items):
                unsaid["items"] = tuple(map(_ending, self.items, ends))
        return msgspec.structs.replace(self, **unsaid) if unsaid else self

    @property
    def _says_no_ends(self) -> bool:
        """Whether it is of a version (before 2025-03-31) that has one period for all items, and none of their own."""
        return bool(self.items) and all(item.period_end is None for item in self.items)

    @property
    def all_items(self) -> tuple[Item, ...]:
        """The items held, and those of changes that wait."""
        waiting = self.pending_update.items if self.pending_update else ()
        planned = self.schedule.phases if self.schedule else None
        if not waiting and not planned:
            return self.items
        return (*self.items, *waiting, *(item for phase in planned or () for item in phase.items))

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it must be asked for: no item cut off, no schedule without its phases."""
        return not self.items_cut and (self.schedule is None or self.schedule.phases is not None)


def _ending(item: Item, period_end: int | None) -> Item:
    return msgspec.structs.replace(item, period_end=period_end)


class Billing(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the invoices of one subscription say together, beside since when one is owed.

    `failure_code`: why the newest payment failed, in Stripe's words (`insufficient_funds`); `next_attempt`: when
    Stripe tries again.  `open_invoice`: the newest invoice that waits for a payment, failed or not, and
    `open_url` its page.  `paid_until`: the end of the last period whose invoice was paid.
    `given_up`: no invoice was ever paid, and the first one was voided or written off after a failed payment.
    """

    failure_code: str | None = None
    next_attempt: int | None = None
    open_invoice: str | None = None
    open_url: str | None = None
    paid_until: int | None = None
    given_up: bool = False


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What we hold of one subscription: the facts, and how we came to hold them.

    `as_of` is the latest moment (Stripe's clock) that the facts are known to describe.  `evidence` counts what
    arrived about it, applied or unchanged or asked about: an answer of Stripe's may be committed only while
    this count stands where it stood when the asking began.  `since` is when the status was last seen to change.
    `unpaid_since` is when the first payment of the oldest open invoice failed; open invoices older than the newest
    paid one are ignored.  `billing` is what else its invoices say together.
    `unknown_status` is set while Stripe's last answer was a status that this program does not know.
    `missing_since` is when Stripe first answered that it has no such subscription; an answer with one clears it.
    """

    subscription_id: str
    facts: Facts | None = None
    as_of: int = 0
    evidence: int = 0
    since: int = 0
    unpaid_since: int | None = None
    billing: Billing = Billing()
    unknown_status: str | None = None
    missing_since: int | None = None

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
    ABSENCE = "absence"
    """Stripe answered, twice and some time apart, that it has no such subscription."""


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
