"""Report usage: many uses at once, of many users, that may lie in the past; corrections too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from interlock.engine.core.features import is_known
from interlock.engine.flow.counting import Counting
from interlock.engine.units.usage import Counted, Use, use


class UsageEvent(Struct, frozen=True, kw_only=True):
    """One use.  `at` in seconds, None: now.  A negative amount corrects."""

    user: str
    feature: str
    amount: int
    id: str
    at: int | None = None


class RefusedUse(Struct, frozen=True):
    """One that was not counted, and why: `limit_reached`, `not_in_plan`, `no_access`, `unknown_feature`, `too_old`,
    `in_the_future`, `below_zero`."""

    id: str
    why: str


class UsageReport(Struct, frozen=True):
    """How many were counted, how many had been before, and which were refused."""

    counted: int
    duplicates: int
    refused: list[RefusedUse]


async def report_usage(counting: Counting, events: Sequence[UsageEvent]) -> UsageReport:
    """Count uses, each whole or not at all, in their order for each user; a transaction a user.

    Where one of these can't be stored all is to be sent again: what was counted is a duplicate then.
    Raises StoreUnavailable.
    """
    known = [event for event in events if is_known(event.feature, counting.catalogue)]
    by_user: dict[str, list[UsageEvent]] = {}
    for event in known:
        by_user.setdefault(event.user, []).append(event)
    answered = await asyncio.gather(*(_of_user(counting, user, mine) for user, mine in by_user.items()))
    came = {id(event): counted for pairs in answered for event, counted in pairs}
    refused = [RefusedUse(event.id, _why(came.get(id(event)))) for event in events if not _taken(came.get(id(event)))]
    duplicates = sum(1 for counted in came.values() if counted.duplicate)
    return UsageReport(len(events) - duplicates - len(refused), duplicates, refused)


async def _of_user(counting: Counting, user_id: str, events: list[UsageEvent]) -> list[tuple[UsageEvent, Counted]]:
    uses = [Use(event.feature, event.amount, event.id, event.at) for event in events]
    counted = await counting.run(user_id, lambda unit: use(user_id, uses, unit))
    return list(zip(events, counted, strict=True))


def _taken(counted: Counted | None) -> bool:
    return counted is not None and (counted.duplicate or counted.why is None)


def _why(counted: Counted | None) -> str:
    return "unknown_feature" if counted is None else counted.why or ""
