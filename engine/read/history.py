"""A user's history: the ledger of decisions, newest first."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.core.view import rfc3339
from interlock.engine.store import Store
from interlock.engine.units import records
from interlock.engine.units.records import Decided

_MAX_SEQ: Final = 2**62


class Entry(Struct, frozen=True, rename={"from_": "from"}):
    """One decision of a user's history."""

    seq: int
    at: str
    event_id: str | None
    event_type: str | None
    source: str
    trigger: str | None
    from_: str | None
    to: str | None
    outcome: str
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
        source=decided.source,
        trigger=decided.fired,
        from_=decided.from_state,
        to=decided.to_state,
        outcome=decided.outcome,
        guard=decided.guard,
    )


async def history_of(store: Store, user_id: str, *, limit: int, after: int | None) -> HistoryPage:
    """Return a user's decisions, newest first, older than `after`."""
    before = _MAX_SEQ if after is None else after
    found = await store.read(lambda: records.decisions_of_user(user_id, before, limit + 1))
    items = [_entry(decided) for decided in found[:limit]]
    return HistoryPage(items, items[-1].seq if len(found) > limit else None)
