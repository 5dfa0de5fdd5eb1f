"""A user's history: the ledger of decisions, newest first."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct

from interlock.engine.core.states import Outcome, State
from interlock.engine.core.view import Time, rfc3339
from interlock.engine.store import Store
from interlock.engine.units import records
from interlock.engine.units.records import Decided

Source: TypeAlias = Literal["webhook", "reconcile", "checkout", "api", "clock", "operator"]
"""What led to a decision."""
_MAX_SEQ: Final = 2**62


class Entry(Struct, frozen=True, rename={"from_": "from"}):
    """One decision of a user's history."""

    seq: int
    at: Time
    event_id: str | None
    event_type: str | None
    source: Source
    trigger: str | None
    from_: State | None
    to: State | None
    outcome: Outcome
    guard: str | None


class HistoryPage(Struct, frozen=True):
    """Decisions, newest first; `next` goes into `after` for the older ones, None at the end."""

    items: list[Entry]
    next: int | None


def _entry(decided: Decided) -> Entry:
    return Entry(
        seq=decided.seq,
        at=rfc3339(decided.at) or "",
        event_id=decided.event_id,
        event_type=decided.event_type,
        source=cast("Source", decided.source),
        trigger=decided.fired,
        from_=State(decided.from_state) if decided.from_state else None,
        to=State(decided.to_state) if decided.to_state else None,
        outcome=Outcome(decided.outcome),
        guard=decided.guard,
    )


async def history_of(store: Store, user_id: str, *, limit: int, after: int | None) -> HistoryPage:
    """Return a user's decisions, newest first, older than `after`."""
    before = _MAX_SEQ if after is None else after
    found = await store.read(lambda: records.decisions_of_user(user_id, before, limit + 1))
    items = [_entry(decided) for decided in found[:limit]]
    return HistoryPage(items, items[-1].seq if len(found) > limit else None)
