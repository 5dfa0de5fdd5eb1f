"""Events and the ledger of decisions, as they are stored."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS


class StoredEvent(Struct, frozen=True):
    """One event as it is stored; `account` is Stripe's of another, times in seconds, `payload` compressed."""

    event_id: str
    account: str
    type: str
    created: int
    received_at: int
    subscription_id: str | None
    customer_id: str | None
    outcome: str
    payload: bytes | None


class EventName(Struct, frozen=True):
    """An event's id and type."""

    id: str
    type: str


class LedgerEntry(Struct, frozen=True):
    """One decision for the ledger.  `from_state` and `to_state` stand only where something changed.

    `facts` are those that an applied decision led to, as JSON, and `changed` the names of those that differ from the
    facts before, with commas (None at first sight).  `actor` asked for it, `why` is their reason.
    """

    at: int
    event_id: str | None
    event_type: str | None
    source: str
    user_id: str | None
    subscription_id: str | None
    fired: str | None
    from_state: str | None
    to_state: str | None
    outcome: str
    guard: str | None
    facts: bytes | None = None
    changed: str | None = None
    actor: str | None = None
    why: str | None = None


class Decided(Struct, frozen=True):
    """One decision of a user's history, as it is stored."""

    seq: int
    at: int
    event_id: str | None
    event_type: str | None
    source: str
    fired: str | None
    from_state: str | None
    to_state: str | None
    outcome: str
    guard: str | None


class Step(Struct, frozen=True):
    """One transition of a subscription."""

    subscription_id: str
    from_state: str
    to_state: str


_add_event: Final = _S["event_insert"].taking(StoredEvent)
_add_decision: Final = _S["decision_insert"].taking(LedgerEntry)


def event_seen(event_id: str, account: str) -> Work[bool]:
    """Whether an event is stored already."""
    return bool((yield _S["event_seen"](event_id=event_id, account=account)))


def add_event(event: StoredEvent) -> Work[None]:
    """Store an event."""
    yield _add_event(event)


def set_outcome(event_id: str, outcome: str) -> Work[None]:
    """Set what came of an event that waited."""
    yield _S["event_outcome"](event_id=event_id, outcome=outcome)


def pending_events(subscription_id: str) -> Work[list[EventName]]:
    """Read the events that wait for Stripe's answer about a subscription, the newest first."""
    return [EventName(*row) for row in (yield _S["event_pending_of"], (subscription_id,))]


def link_decisions(subscription_id: str, user_id: str) -> Work[None]:
    """A subscription's user became known: what was decided before is theirs too."""
    yield _S["decision_link"](subscription_id=subscription_id, user_id=user_id)
    yield _S["event_link"], (subscription_id,)


def add_decision(entry: LedgerEntry) -> Work[None]:
    """Enter a decision in the ledger; the event that it names must be stored before."""
    yield _add_decision(entry)


def decisions_of_user(user_id: str, before: int, limit: int) -> Work[list[Decided]]:
    """Read a page of a user's decisions, newest first, older than number `before`."""
    return [Decided(*row) for row in (yield _S["decision_page"](user_id=user_id, before=before, limit=limit))]


def steps_of_user(user_id: str) -> Work[list[Step]]:
    """Read the last 100 transitions of a user's subscriptions, newest first."""
    return [Step(*row) for row in (yield _S["decision_way"], (user_id,))]


def forget_payloads(before: int) -> Work[int]:
    """Drop the oldest payloads received before a time, at most 500; returns how many."""
    return len((yield _S["event_forget_payloads"], (before,)))
