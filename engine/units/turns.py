"""The units of work around a verb: take the user's turn, read what they hold, remember the caller's key."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.core.holding import Holding
from interlock.engine.errors import NotAccepted
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.holdings import holding_of
from interlock.engine.units.records.verbs import verb_key

KEY_SECONDS: Final = 86_400
"""How long a caller's Idempotency-Key is remembered, as Stripe does."""


class Begun(Struct, frozen=True):
    """What a verb begins with.  `done`: a verb with this key was run before, and nothing is left to do."""

    holding: Holding
    version: int
    done: bool


def begin(user_id: str, key: str | None, said: str, unit: Unit) -> Work[Begun]:
    """Read what a user holds as their verb begins; NotAccepted (`key_reused`) where the key had another body."""
    before = None if key is None else (yield from verb_key(user_id, key))
    if before is not None and before.at <= unit.now - KEY_SECONDS:
        before = None
    if before is not None and before.said != said:
        raise NotAccepted("key_reused")
    holding, version = yield from _holding(user_id, unit)
    return Begun(holding, version, before is not None)


def holding_now(user_id: str, unit: Unit) -> Work[Holding]:
    """Read what a user holds now."""
    holding, _ = yield from _holding(user_id, unit)
    return holding


def _holding(user_id: str, unit: Unit) -> Work[tuple[Holding, int]]:
    user = yield from records.user_for_projection(user_id)
    return (yield from holding_of(user_id, user, user.subscriptions, unit)), user.version
