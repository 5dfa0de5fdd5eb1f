"""Whether a subscription gives access, why, and until when.  Policy, apart from state.

Stripe's status alone does not answer it: `active` may have its collection paused, `past_due` may have days of
grace left, a cancellation date may have passed before Stripe says so.

`RULES` is the whole policy, read from the top: the first rule that applies is the answer.  Where none applies
there is no access.  Pages, schema and `explain` are made from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from interlock.engine.core.plans import AccessPolicy
from interlock.engine.core.states import Facts, State, Subscription

DAY: Final = 86_400


class Reason(StrEnum):
    """Why there is access, or why there is none; the contract's words."""

    TRIALING = "trialing"
    PAID = "paid"
    GRACE_PERIOD = "grace_period"
    ENDING = "ending"
    GRANT = "grant"
    NONE = "none"
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"
    PAYMENT_FAILED = "payment_failed"
    UNPAID = "unpaid"
    PAUSED = "paused"
    COLLECTION_PAUSED = "collection_paused"
    CANCELED = "canceled"


class Access(Struct, frozen=True):
    """The answer.  `until` is when it would change by the clock alone, in seconds, else None."""

    granted: bool
    reason: Reason
    until: int | None = None


class Subject(Struct, frozen=True):
    """What a rule looks at: one subscription whose facts are known, the policy, and the moment."""

    known: Subscription
    facts: Facts
    state: State
    policy: AccessPolicy
    now: float

    @property
    def grace_end(self) -> int:
        """When the days of grace are over, counted from the first failed payment of the open invoice."""
        since = self.known.unpaid_since
        return (self.known.since if since is None else since) + self.policy.past_due_grace_days * DAY

    @property
    def paid_until(self) -> int:
        """The end of what was paid for; a trial is paid for.  0 where nothing ever was."""
        trial_end = self.facts.trial_end if self.state is State.TRIALING else None
        return max(self.known.billing.paid_until or 0, trial_end or 0)

    @property
    def collection_is_paused(self) -> bool:
        """Whether Stripe collects nothing now; it resumes by itself at its date."""
        resumes_at = self.facts.collection_resumes_at
        return self.facts.collection_paused and (resumes_at is None or self.now < resumes_at)


class Rule(Struct, frozen=True):
    """Where `applies` is true, and no rule above it, access is `granted` or not, for this `reason`.

    `why` says it to a person.
    """

    reason: Reason
    granted: bool
    applies: Callable[[Subject], bool]
    why: str


def _in(*states: State) -> Callable[[Subject], bool]:
    return lambda subject: subject.state in states


def _has_ended(subject: Subject) -> bool:
    return subject.facts.cancel_at is not None and subject.facts.cancel_at <= subject.now


def _paused_collection_denies(subject: Subject) -> bool:
    policy = subject.policy.collection_paused
    if not subject.collection_is_paused or policy == "grant":
        return False
    return policy == "deny" or subject.paid_until <= subject.now


# fmt: off
RULES: Final[tuple[Rule, ...]] = (
    Rule(Reason.NONE, False, lambda subject: subject.known.unknown_status is not None,
         "Stripe calls its status by a name that this version does not know"),
    Rule(Reason.INCOMPLETE, False, _in(State.INCOMPLETE), "its first payment is not made yet"),
    Rule(Reason.EXPIRED, False, _in(State.INCOMPLETE_EXPIRED), "its first payment was not made in time"),
    Rule(Reason.UNPAID, False, _in(State.UNPAID), "its invoices were not paid, and Stripe tries no more"),
    Rule(Reason.PAUSED, False, _in(State.PAUSED), "it is paused"),
    Rule(Reason.CANCELED, False, _in(State.CANCELED), "it has ended"),
    Rule(Reason.CANCELED, False, _has_ended, "its cancellation date has passed"),
    Rule(Reason.PAYMENT_FAILED, False, lambda subject: subject.known.billing.given_up,
         "it was never paid, and its first invoice was given up after a failed payment"),
    Rule(Reason.COLLECTION_PAUSED, False, _paused_collection_denies,
         "its collection is paused, and what was paid for is over"),
    Rule(Reason.PAYMENT_FAILED, False,
         lambda subject: subject.state is State.PAST_DUE and subject.grace_end <= subject.now,
         "a payment failed, and the days of grace are over"),
    Rule(Reason.GRACE_PERIOD, True, _in(State.PAST_DUE), "a payment failed, and days of grace are left"),
    Rule(Reason.ENDING, True, lambda subject: subject.facts.cancel_at is not None,
         "it was canceled for later, and is paid for until then"),
    Rule(Reason.TRIALING, True, _in(State.TRIALING), "it is in its trial"),
    Rule(Reason.PAID, True, _in(State.ACTIVE), "it is paid, or costs nothing"),
)
# fmt: on


def access(subscription: Subscription, policy: AccessPolicy, now: float) -> Access:
    """Say whether a subscription gives access at `now`.  Without a rule that grants it, it does not."""
    rule = rule_for(subscription, policy, now)
    if rule is None:
        return Access(False, Reason.NONE)
    for moment in _moments(subscription, policy, now):
        later = rule_for(subscription, policy, moment)
        if later is None or (later.granted, later.reason) != (rule.granted, rule.reason):
            return Access(rule.granted, rule.reason, moment)
    return Access(rule.granted, rule.reason)


def rule_for(subscription: Subscription, policy: AccessPolicy, now: float) -> Rule | None:
    """Return the rule that decides at `now`; None where nothing is known of the subscription."""
    if subscription.facts is None:
        return None
    subject = Subject(subscription, subscription.facts, subscription.state, policy, now)
    return next((rule for rule in RULES if rule.applies(subject)), None)


def _moments(subscription: Subscription, policy: AccessPolicy, now: float) -> list[int]:
    """Return the times after `now` at which another rule may apply, in order."""
    facts = subscription.facts
    if facts is None or (facts.cancel_at is None and not facts.collection_paused and facts.status != State.PAST_DUE):
        return []
    subject = Subject(subscription, facts, subscription.state, policy, now)
    moments = {facts.cancel_at, facts.collection_resumes_at, subject.paid_until}
    if subscription.state is State.PAST_DUE:
        moments.add(subject.grace_end)
    return sorted(moment for moment in moments if moment is not None and moment > now)
