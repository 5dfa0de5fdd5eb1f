"""The state of a user, as a frontend reads it: the contract's JSON, made of what they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from interlock.engine.core.access import Reason
from interlock.engine.core.actions import Action, available_actions
from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.held import rank_of, read_items
from interlock.engine.core.holding import Holder, Holding, Source, hold
from interlock.engine.core.states import LIVING, Facts, Item, State

Time: TypeAlias = Annotated[str, Meta(description="RFC 3339, UTC.")]
_LAST: Final = 253_402_300_799
"""The end of the year 9999: RFC 3339 has no later time."""


@lru_cache(maxsize=1024)
def rfc3339(seconds: float | None) -> str | None:
    """Write a time as the API does: RFC 3339, UTC, whole seconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(int(seconds), _LAST), UTC).isoformat().replace("+00:00", "Z")


class AccessShown(Struct, frozen=True):
    """Whether there is access, and why.  `until` is when the answer would change by the clock alone, else null."""

    granted: bool
    reason: Reason
    until: Time | None


class PlanHeld(Struct, frozen=True):
    """The user's main plan.

    `key` and `name` are null for a plan that is no longer in the catalogue; `features` is empty without access.
    `price_id` and `interval` are null where an operator granted it.
    """

    key: str | None
    name: str | None
    features: tuple[str, ...]
    quantity: int
    price_id: str | None
    interval: str | None


class AddonHeld(Struct, frozen=True):
    """One add-on that gives access now."""

    key: str | None
    name: str | None
    quantity: int
    price_id: str | None


class Cancellation(Struct, frozen=True):
    """An end that was asked for: when it comes or came, and why.

    `reason` is what the user chose (Stripe's feedback words), else Stripe's own word.
    """

    at: Time | None
    reason: str | None
    comment: str | None


class PendingChange(Struct, frozen=True):
    """A change that waits: for the period's end (`scheduled`), or for its payment at `url` until `expires_at`."""

    plan: str | None
    quantity: int
    interval: str | None
    at: Time | None
    reason: Literal["scheduled", "payment"]
    url: str | None
    expires_at: Time | None


class PaymentProblem(Struct, frozen=True):
    """An invoice is open in vain, since when, with Stripe's decline code where known, tried again when."""

    since: Time | None
    code: str | None
    next_attempt_at: Time | None


class GrantShown(Struct, frozen=True):
    """Access beside billing."""

    plan: str
    until: Time | None


class UserState(Struct, frozen=True, kw_only=True):
    """What is shown of one user, but for `version` and `updated_at`, which say when this last changed."""

    user_id: str
    state: State
    access: AccessShown
    plan: PlanHeld | None
    addons: tuple[AddonHeld, ...]
    features: tuple[str, ...]
    subscription_id: str | None
    current_period_end: Time | None
    trial_end: Time | None
    cancel_at: Time | None
    cancellation: Cancellation | None
    collection_paused: bool
    pending_change: PendingChange | None
    payment_problem: PaymentProblem | None
    grant: GrantShown | None
    available_actions: list[Action]


class DatedState(UserState, frozen=True, kw_only=True):
    """The state of a user: what they hold, whether it gives access, and what they can do next.

    `version` never falls, and rises exactly when something that is shown changes.
    """

    version: int
    updated_at: Time

    @property
    def body(self) -> bytes:
        """The JSON, as the API answers it."""
        return msgspec.json.encode(self)


_NO_FACTS: Final = Facts(subscription_id="", customer_id="", status="")


def view(holding: Holding) -> UserState:
    """Return what is shown of a user."""
    known = holding.shown.known if holding.shown else None
    facts = known.facts if known is not None and known.facts is not None else _NO_FACTS
    answer, grant = holding.access, holding.grant
    return UserState(
        user_id=holding.holder.user_id,
        state=known.state if known is not None else State.NONE,
        access=AccessShown(answer.granted, answer.reason, rfc3339(answer.until)),
        plan=_plan(holding),
        addons=tuple(_addon(source) for source in holding.addons),
        features=holding.features,
        subscription_id=facts.subscription_id or None,
        current_period_end=rfc3339(facts.current_period_end),
        trial_end=rfc3339(facts.trial_end),
        cancel_at=rfc3339(facts.cancel_at),
        cancellation=_cancellation(facts),
        collection_paused=facts.collection_paused,
        pending_change=_pending_change(holding),
        payment_problem=_payment_problem(holding),
        grant=GrantShown(grant.plan, rfc3339(grant.until)) if grant else None,
        available_actions=available_actions(holding),
    )


def nobody(user_id: str, catalogue: Catalogue) -> UserState:
    """Return what is shown of a user of whom nothing is known."""
    return view(hold(Holder(user_id=user_id, subscriptions=[]), catalogue, 0))


def interval_of(item: Item | None) -> str | None:
    """Write an item's interval: `month`, or `3 months`; None where it is not known."""
    if item is None or item.interval is None or item.interval_count == 1:
        return item.interval if item else None
    return f"{item.interval_count} {item.interval}s"


def undated(shown: UserState) -> bytes:
    """Return the JSON of a user's state without its last two fields; `dated` appends version and time."""
    return msgspec.json.encode(shown)[:-1] + b',"version":'


def dated(shown: bytes, version: int, updated_at: float) -> bytes:
    """Return the whole JSON: what `undated` made, with its version and the time since which it is so."""
    return b'%b%d,"updated_at":"%b"}' % (shown, version, (rfc3339(updated_at) or "").encode())


def encode(shown: UserState, version: int, updated_at: float) -> bytes:
    """Return the JSON of a user's state."""
    return dated(undated(shown), version, updated_at)


def _plan(holding: Holding) -> PlanHeld | None:
    """The plan that gives access; without access the last one, which gives nothing."""
    source = holding.plan
    if source is not None:
        plan = source.place.plan
        features = plan.features if plan else ()
        price_id = source.item.price_id if source.item else None
        name = plan.name if plan else None
        return PlanHeld(source.place.key, name, features, source.quantity, price_id, interval_of(source.item))
    last = holding.shown.best if holding.shown else None
    if last is None or last.place is None:
        return None
    name, item = last.place.plan.name if last.place.plan else None, last.item
    return PlanHeld(last.place.key, name, (), item.quantity, item.price_id, interval_of(item))


def _addon(source: Source) -> AddonHeld:
    name = source.place.plan.name if source.place.plan else None
    return AddonHeld(source.place.key, name, source.quantity, source.item.price_id if source.item else None)


def _cancellation(facts: Facts) -> Cancellation | None:
    at = facts.cancel_at if facts.ended_at is None else facts.ended_at
    if facts.cancel_at is None and facts.status != State.CANCELED:
        return None
    return Cancellation(rfc3339(at), facts.cancel_feedback or facts.cancel_reason, facts.cancel_comment)


def _pending_change(holding: Holding) -> PendingChange | None:
    """The change that waits for its payment, else the first phase to come that has other items."""
    known = holding.shown.known if holding.shown else None
    facts = known.facts if known else None
    if known is None or facts is None or known.state not in LIVING:
        return None
    if facts.pending_update is not None:
        waiting = facts.pending_update
        url, expires_at = known.billing.open_url, rfc3339(waiting.expires_at)
        return _change(holding, waiting.items, None, "payment", url, expires_at)
    phases = facts.schedule.phases if facts.schedule else None
    for phase in (phases or ())[1:]:
        if _bought(phase.items) != _bought(facts.items):
            return _change(holding, phase.items, rfc3339(phase.start), "scheduled", None, None)
    return None


def _bought(items: tuple[Item, ...]) -> set[tuple[str, int]]:
    return {(item.price_id, item.quantity) for item in items}


def _change(
    holding: Holding,
    items: tuple[Item, ...],
    at: str | None,
    reason: Literal["scheduled", "payment"],
    url: str | None,
    expires_at: str | None,
) -> PendingChange | None:
    """Name the plan of what is to come: its main item, as that of the subscription itself is."""
    read = read_items(items, holding.catalogue, holding.holder.memory)
    placed = [one for one in read if one.place is not None] or read
    if not placed:
        return None
    coming = max(placed, key=rank_of)
    key = coming.place.key if coming.place else None
    return PendingChange(key, coming.item.quantity, interval_of(coming.item), at, reason, url, expires_at)


def _payment_problem(holding: Holding) -> PaymentProblem | None:
    known = holding.shown.known if holding.shown else None
    if known is None or known.state not in LIVING or known.unpaid_since is None:
        return None
    billing = known.billing
    return PaymentProblem(rfc3339(known.unpaid_since), billing.failure_code, rfc3339(billing.next_attempt))
