"""Consume: may this user use so much of a feature?  If so it is counted, in the same transaction."""

from __future__ import annotations

from msgspec import Struct

from interlock.engine.core.view import rfc3339
from interlock.engine.flow.counting import Counting
from interlock.engine.units.usage import Use, use


class Consumed(Struct, frozen=True):
    """What came of it.  `remaining` is null where there is no limit; `duplicate`: the id was here before."""

    allowed: bool
    reason: str
    used: int
    remaining: int | None
    resets_at: str | None
    duplicate: bool


async def consume(counting: Counting, user_id: str, feature: str, amount: int, use_id: str | None) -> Consumed:
    """Count `amount` (1 or more) of a feature, whole or not at all.  The same id within 35 days is counted once.

    Raises UnknownFeature, StoreUnavailable.
    """
    counting.require(feature)
    uses = (Use(feature, amount, use_id),)
    counted = (await counting.run(user_id, lambda unit: use(user_id, uses, unit)))[0]
    answer = counted.answer
    return Consumed(
        allowed=answer.allowed,
        reason=answer.reason,
        used=answer.used,
        remaining=answer.remaining,
        resets_at=rfc3339(answer.resets_at),
        duplicate=counted.duplicate,
    )
