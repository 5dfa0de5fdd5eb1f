"""The context of one transaction: what a unit of work is given, and the effects that it collects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import Decision, Outcome
from interlock.engine.store import Work
from interlock.engine.units.records import EventName, LedgerEntry, add_decision, add_question
from interlock.engine.wire.events import Event

ASK_AFTER_MS: Final = 100
"""How long to wait before asking Stripe: a burst about one subscription then makes one call."""


@dataclass(slots=True)
class Unit:
    """A transaction's inputs (time, plans, mode) and the effects that it collects.

    `touched` are the users whose state changed, `asked` whether Stripe is to be asked, `ledger` the entries to write
    at the end, when the event that they name is there.
    """

    now: float
    catalogue: Catalogue
    livemode: bool
    touched: set[str] = field(default_factory=set[str])
    asked: bool = False
    ledger: list[LedgerEntry] = field(default_factory=list[LedgerEntry])


def ask(subscription_id: str, unit: Unit) -> Work[None]:
    unit.asked = True
    yield from add_question(subscription_id, int(unit.now * 1000) + ASK_AFTER_MS)


def record(
    unit: Unit,
    event: Event | EventName | None,
    source: str,
    user_id: str | None,
    subscription_id: str | None,
    *,
    decision: Decision | None = None,
    outcome: Outcome | None = None,
) -> None:
    """Note an entry for the ledger."""
    moved = decision is not None and decision.outcome is Outcome.APPLIED
    entry = LedgerEntry(
        at=int(unit.now),
        event_id=event.id if event else None,
        event_type=event.type if event else None,
        source=source,
        user_id=user_id,
        subscription_id=subscription_id,
        fired=decision.trigger if decision else None,
        from_state=decision.before.value if decision and moved else None,
        to_state=decision.after.state.value if decision and moved else None,
        outcome=(decision.outcome if decision else outcome or Outcome.IGNORED).value,
        guard=decision.guard if decision else None,
    )
    unit.ledger.append(entry)


def write_ledger(unit: Unit) -> Work[None]:
    """Write the entries that were noted."""
    for entry in unit.ledger:
        yield from add_decision(entry)
