"""The rows of a unit of work: how a subscription is read, written, asked about and entered in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import Decision, Facts, Outcome, Subscription
from interlock.engine.store import Query, Row, Work
from interlock.engine.wire.events import Event

ASK_AFTER_MS: Final = 100
"""How long to wait before asking Stripe: a burst about one subscription then makes one call."""

_facts: Final = msgspec.json.Decoder(Facts)


@dataclass(slots=True)
class Moment:
    """What a unit of work knows of its surroundings, and what it gathers on its way.

    `touched` are the users whose state was redrawn, `asked` whether Stripe is to be asked, `ledger` the entries
    to write at the end, when the event that they name is there.
    """

    now: float
    catalogue: Catalogue
    livemode: bool
    touched: set[str] = field(default_factory=set[str])
    asked: bool = False
    ledger: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])


@dataclass(slots=True)
class Held:
    """One subscription's row: what is known, and whose it is."""

    known: Subscription
    user_id: str | None


def load(subscription_id: str) -> Work[Held]:
    """Read, and where the database locks rows lock, one subscription; one never seen is an empty one."""
    rows = yield "subscription_get", (subscription_id,)
    if not rows:
        yield "subscription_start", (subscription_id,)
        rows = yield "subscription_get", (subscription_id,)
    *fields, user_id = rows[0]
    return Held(subscription_from(subscription_id, *fields), user_id)


def subscription_from(
    subscription_id: str,
    facts: bytes | None,
    as_of: int,
    evidence: int,
    since: int,
    unpaid_since: int | None,
    unknown_status: str | None,
) -> Subscription:
    """Build a Subscription of its row."""
    return Subscription(
        subscription_id=subscription_id,
        facts=None if facts is None else _facts.decode(facts),
        as_of=as_of,
        evidence=evidence,
        since=since,
        unpaid_since=unpaid_since,
        unknown_status=unknown_status,
    )


def put(after: Subscription, user_id: str | None, held: Held | None = None) -> Query:
    """Write a subscription's row.  One that stays with whom `held` says is written without touching an index."""
    facts = after.facts
    customer_id = facts.customer_id if facts else None
    rest = (
        after.state.value,
        after.as_of,
        after.evidence,
        after.since,
        after.unpaid_since,
        after.unknown_status,
        msgspec.json.encode(facts) if facts else None,
    )
    before = held.known.facts if held is not None else None
    if held is not None and before is not None and (before.customer_id, held.user_id) == (customer_id, user_id):
        return "subscription_update", (after.subscription_id, *rest)
    return "subscription_put", (after.subscription_id, customer_id, user_id, *rest)


def ask(subscription_id: str, moment: Moment) -> Work[None]:
    moment.asked = True
    yield "ask_put", (subscription_id, int(moment.now * 1000) + ASK_AFTER_MS)


def record(
    moment: Moment,
    event: Event | Row | None,
    source: str,
    user_id: str | None,
    subscription_id: str | None,
    *,
    decision: Decision | None = None,
    outcome: Outcome | None = None,
) -> None:
    """Note an entry for the ledger.  `from` and `to` stand only where something changed."""
    moved = decision is not None and decision.outcome is Outcome.APPLIED
    event_id, event_type = (event.id, event.type) if isinstance(event, Event) else event or (None, None)
    entry = (
        int(moment.now),
        event_id,
        event_type,
        source,
        user_id,
        subscription_id,
        decision.trigger if decision else None,
        decision.before.value if decision and moved else None,
        decision.after.state.value if decision and moved else None,
        (decision.outcome if decision else outcome or Outcome.IGNORED).value,
        decision.guard if decision else None,
    )
    moment.ledger.append(entry)


def write_ledger(moment: Moment) -> Work[None]:
    """Write the entries that were noted."""
    for entry in moment.ledger:
        yield "decision_insert", entry
