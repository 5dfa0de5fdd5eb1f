"""Hold: set so much of a feature aside, and settle it with what it really was.  Left alone it gives back."""

from __future__ import annotations

import secrets
from typing import Final

from msgspec import Struct

from interlock.engine.core.counting import Answer
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import UnknownHold
from interlock.engine.flow.counting import Counting
from interlock.engine.store import Store
from interlock.engine.units.records import owner_of_hold
from interlock.engine.units.usage import hold, settle_hold

MOST_SECONDS: Final = 86_400
"""How long a hold may stand: a day."""


class HoldAnswer(Struct, frozen=True):
    """What came of it.  `id` is null where it was denied; `expires_at`: when it gives back what it holds."""

    id: str | None
    allowed: bool
    reason: str
    used: int
    remaining: int | None
    resets_at: str | None
    expires_at: str | None
    duplicate: bool = False


async def set_aside(counting: Counting, user_id: str, feature: str, amount: int, seconds: int) -> HoldAnswer:
    """Set `amount` (1 or more) of a feature aside for some seconds, whole or not at all.

    Raises UnknownFeature, StoreUnavailable.
    """
    counting.require(feature)
    hold_id = f"hold_{secrets.token_hex(12)}"
    held = await counting.run(user_id, lambda unit: hold(user_id, feature, amount, seconds, hold_id, unit))
    if not held.answer.allowed:
        return _shown(None, held.answer, None)
    return _shown(hold_id, held.answer, held.expires_at)


async def settle(counting: Counting, store: Store, hold_id: str, amount: int) -> HoldAnswer:
    """Count what a hold really came to (0 or more); again: the first answer again, `duplicate`.

    More than was held must fit like any other use, else nothing is settled and the hold stands.
    Raises UnknownHold, StoreUnavailable.
    """
    user_id = await store.read(lambda: owner_of_hold(hold_id))
    if user_id is None:
        raise UnknownHold
    counted = await counting.run(user_id, lambda unit: settle_hold(hold_id, amount, unit))
    return _shown(hold_id, counted.answer, None, duplicate=counted.duplicate)


def _shown(hold_id: str | None, answer: Answer, expires_at: int | None, *, duplicate: bool = False) -> HoldAnswer:
    return HoldAnswer(
        id=hold_id,
        allowed=answer.allowed,
        reason=answer.reason,
        used=answer.used,
        remaining=answer.remaining,
        resets_at=rfc3339(answer.resets_at),
        expires_at=rfc3339(expires_at),
        duplicate=duplicate,
    )
