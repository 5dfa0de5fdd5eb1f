"""The state of a user, as a frontend reads it: the README's JSON, made of facts, policy and the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from interlock.engine.core.access import access, available_actions, best, may_check_out
from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import Facts, State, Subscription

_LAST: Final = 253_402_300_799
"""The end of the year 9999: RFC 3339 has no later time."""


@lru_cache(maxsize=1024)
def rfc3339(seconds: float | None) -> str | None:
    """Write a time as the API does: RFC 3339, UTC, whole seconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(int(seconds), _LAST), UTC).isoformat().replace("+00:00", "Z")


class AccessShown(Struct, frozen=True):
    """`until`: when the answer would change by the clock alone, RFC 3339, else null."""

    granted: bool
    reason: str
    until: str | None


class PlanHeld(Struct, frozen=True):
    """The plan of a subscription; `key` and `name` are null for a price that no plan names."""

    key: str | None
    name: str | None
    features: tuple[str, ...]
    quantity: int
    price_id: str


class UserState(Struct, frozen=True, kw_only=True):
    """What is shown of one user, but for `version` and `updated_at`, which say when this last changed."""

    user_id: str
    state: State
    access: AccessShown
    plan: PlanHeld | None
    subscription_id: str | None
    current_period_end: str | None
    trial_end: str | None
    cancel_at: str | None
    collection_paused: bool
    available_actions: list[str]


class Standing(Struct, frozen=True, kw_only=True):
    """What the store holds about one user that the view is made from.

    `checkout_until`: when the open checkout of an incomplete subscription expires, None where there is none.
    """

    user_id: str
    subscriptions: list[Subscription]
    has_customer: bool = False
    checkout_until: int | None = None


def view(standing: Standing, catalogue: Catalogue, now: float) -> tuple[UserState, int | None]:
    """Return what is shown of a user at `now`, and when the clock alone changes it (None: never)."""
    chosen = best(standing.subscriptions, catalogue.access, now) or Subscription(subscription_id="")
    facts = chosen.facts
    answers = {held.subscription_id: access(held, catalogue.access, now) for held in standing.subscriptions}
    answer = answers.get(chosen.subscription_id) or access(chosen, catalogue.access, now)
    open_until = standing.checkout_until
    finishable = open_until is not None and now < open_until
    shown = UserState(
        user_id=standing.user_id,
        state=chosen.state,
        access=AccessShown(answer.granted, answer.reason, rfc3339(answer.until)),
        plan=_plan(facts, catalogue) if facts else None,
        subscription_id=facts.subscription_id if facts else None,
        current_period_end=rfc3339(facts.current_period_end) if facts else None,
        trial_end=rfc3339(facts.trial_end) if facts else None,
        cancel_at=rfc3339(facts.cancel_at) if facts else None,
        collection_paused=facts.collection_paused if facts else False,
        available_actions=available_actions(
            chosen,
            can_check_out=may_check_out(standing.subscriptions, open_checkout=finishable),
            has_customer=standing.has_customer,
        ),
    )
    changes = [answer.until for answer in answers.values()] + [open_until if finishable else None]
    return shown, min((at for at in changes if at is not None), default=None)


def nobody(user_id: str, catalogue: Catalogue) -> UserState:
    """Return what is shown of a user of whom nothing is known."""
    return view(Standing(user_id=user_id, subscriptions=[]), catalogue, 0)[0]


def undated(shown: UserState) -> bytes:
    """Return the JSON of a user's state, open for what `dated` adds."""
    return msgspec.json.encode(shown)[:-1] + b',"version":'


def dated(shown: bytes, version: int, updated_at: float) -> bytes:
    """Return the whole JSON: what `undated` made, with its version and the time since which it is so."""
    return b'%b%d,"updated_at":"%b"}' % (shown, version, (rfc3339(updated_at) or "").encode())


def encode(shown: UserState, version: int, updated_at: float) -> bytes:
    """Return the JSON of a user's state."""
    return dated(undated(shown), version, updated_at)


def _plan(facts: Facts, catalogue: Catalogue) -> PlanHeld | None:
    """The first item that a plan sells, else the first item."""
    for item in facts.items:
        named = catalogue.plan_of(item.price_id, item.lookup_key)
        if named is not None:
            key, plan = named
            return PlanHeld(key, plan.name, plan.features, item.quantity, item.price_id)
    if not facts.items:
        return None
    return PlanHeld(None, None, (), facts.items[0].quantity, facts.items[0].price_id)
