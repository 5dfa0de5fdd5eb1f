"""Who may use the product, why, until when, and what they can do next.  Policy, apart from state.

Stripe's status alone does not answer it: `active` may have its collection paused, `past_due` may have days of
grace left, a cancellation date may have come before Stripe's word of it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.core.catalogue import AccessPolicy
from interlock.engine.core.machine import triggers_from
from interlock.engine.core.states import ENDED, LIVING, State, Subscription

DAY: Final = 86_400


class Access(Struct, frozen=True):
    """The answer.  `until` is when it would change by the clock alone, in seconds, else None."""

    granted: bool
    reason: str
    until: int | None = None


_DENIED_BY_STATE: Final = {
    State.NONE: "none",
    State.INCOMPLETE: "incomplete",
    State.INCOMPLETE_EXPIRED: "expired",
    State.UNPAID: "unpaid",
    State.PAUSED: "paused",
    State.CANCELED: "canceled",
}
_GRANTED_BY_STATE: Final = {State.TRIALING: "trialing", State.ACTIVE: "paid", State.PAST_DUE: "grace_period"}


def access(subscription: Subscription, policy: AccessPolicy, now: float) -> Access:
    """Say whether a subscription gives access at `now`.  Without a rule that grants it, it does not."""
    facts, state = subscription.facts, subscription.state
    if facts is None or subscription.unknown_status is not None:
        return Access(False, "none")
    if state in _DENIED_BY_STATE:
        return Access(False, _DENIED_BY_STATE[state])
    if facts.cancel_at is not None and facts.cancel_at <= now:
        return Access(False, "canceled")
    resumes_at = facts.collection_resumes_at
    if facts.collection_paused and (resumes_at is None or now < resumes_at):
        return Access(False, "collection_paused", _earliest(resumes_at, facts.cancel_at))
    if state is State.PAST_DUE:
        ends = grace_end(subscription, policy)
        if ends <= now:
            return Access(False, "payment_failed", facts.cancel_at)
        return Access(True, "grace_period", _earliest(ends, facts.cancel_at))
    if facts.cancel_at is not None:
        return Access(True, "ending", facts.cancel_at)
    return Access(True, _GRANTED_BY_STATE[state])


def grace_end(subscription: Subscription, policy: AccessPolicy) -> int:
    """When the days of grace are over, counted from the first failed payment of the open bill."""
    begun = subscription.unpaid_since if subscription.unpaid_since is not None else subscription.since
    return begun + policy.past_due_grace_days * DAY


def _earliest(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def best(subscriptions: list[Subscription], policy: AccessPolicy, now: float) -> Subscription | None:
    """Return the subscription that stands for its user: most access first, then living, then newest."""

    def rank(subscription: Subscription) -> tuple[bool, float, bool, int, str]:
        answer = access(subscription, policy, now)
        lasts = (answer.until or float("inf")) if answer.granted else 0.0
        created = subscription.facts.created if subscription.facts else 0
        return answer.granted, lasts, subscription.state in LIVING, created, subscription.subscription_id

    known = [subscription for subscription in subscriptions if subscription.facts is not None]
    return max(known, key=rank) if len(known) > 1 else next(iter(known), None)


def may_check_out(subscriptions: list[Subscription], *, open_checkout: bool) -> bool:
    """Say whether a checkout would be accepted: while nothing lives, or to finish the open one of an incomplete."""
    living = [subscription.state for subscription in subscriptions if subscription.lives]
    return not living or (open_checkout and set(living) == {State.INCOMPLETE})


def available_actions(subscription: Subscription | None, *, can_check_out: bool, has_customer: bool) -> list[str]:
    """Return what would be accepted now: `checkout` of POST /checkout, the others in Stripe's portal.

    What the portal can do with a subscription follows from the triggers that its state has in the table.
    """
    state = subscription.state if subscription else State.NONE
    facts = subscription.facts if subscription else None
    triggers = triggers_from(state)
    accepted = {
        "checkout": can_check_out,
        "portal": has_customer,
    }
    if has_customer and facts is not None and state not in ENDED:
        ending = facts.cancel_at is not None
        accepted["cancel"] = "cancel" in triggers and not ending
        accepted["resume"] = ending or "resume" in triggers
        accepted["change_plan"] = state in (State.TRIALING, State.ACTIVE) and not ending
        accepted["pause"] = (
            "pause" in triggers and state is not State.TRIALING and not ending and facts.charges_automatically
        )
    return [
        action for action in ("checkout", "portal", "cancel", "resume", "change_plan", "pause") if accepted.get(action)
    ]
