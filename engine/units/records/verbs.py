"""Whose turn it is to run a verb, and which Idempotency-Keys callers have used."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS
_ACCOUNT: Final = ""


class VerbKey(Struct, frozen=True):
    """What a caller's key was used for (a digest of verb and body), and when, in seconds."""

    said: str
    at: int


def take_turn(user_id: str, now: int, lease_until: int) -> Work[bool]:
    """Take a user's turn until a time (ms), unless somebody has it; returns whether it was taken."""
    rows = yield _S["turn_take"](account=_ACCOUNT, user_id=user_id, now=now, lease_until=lease_until)
    return bool(rows)


def end_turn(user_id: str, lease_until: int) -> Work[None]:
    """Give the turn back; only one's own, which its end names."""
    yield _S["turn_end"](account=_ACCOUNT, user_id=user_id, lease_until=lease_until)


def verb_key(user_id: str, key: str) -> Work[VerbKey | None]:
    """Read what a caller's key was used for."""
    rows = yield _S["verb_key_get"](account=_ACCOUNT, user_id=user_id, verb_key=key)
    return VerbKey(*rows[0]) if rows else None


def save_verb_key(user_id: str, key: str, said: str, at: int) -> Work[None]:
    """Remember what a caller's key was used for, and forget those that are older than a day."""
    yield _S["verb_key_forget"](before=at - 86_400)
    yield _S["verb_key_put"](account=_ACCOUNT, user_id=user_id, verb_key=key, said=said, at=at)
