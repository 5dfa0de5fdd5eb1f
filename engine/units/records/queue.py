"""What is to be asked of Stripe, and what the program keeps for itself."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS


class Question(Struct, frozen=True):
    """One subscription to ask about, its count of evidence before asking, and how often it was asked about."""

    subscription_id: str
    evidence: int
    attempts: int


class Waiting(Struct, frozen=True):
    """When the next question is due, in milliseconds, None where there is none; and how many there are."""

    next_due: int | None
    count: int


def add_question(subscription_id: str, due_at: int) -> Work[None]:
    """Have Stripe asked about a subscription at a time (ms), or earlier where that is noted already."""
    yield _S["ask_put"](subscription_id=subscription_id, due_at=due_at)


def lease_questions(now: int, lease_until: int, limit: int) -> Work[list[tuple[str, int]]]:
    """Lease what is due (ms), so that nobody else asks it meanwhile; returns each subscription and its attempts."""
    rows = yield _S["ask_claim"](now=now, lease_until=lease_until, limit=limit)
    return [(subscription_id, attempts) for subscription_id, attempts in rows]


def waiting_questions() -> Work[Waiting]:
    """Read when the next question is due, and how many there are."""
    return Waiting(*(yield _S["ask_next"], ())[0])


def postpone_question(subscription_id: str, due_at: int) -> Work[None]:
    """Ask again at a time (ms); its lease is over."""
    yield _S["ask_again"](subscription_id=subscription_id, due_at=due_at)


def close_question(subscription_id: str) -> Work[None]:
    """A question is answered."""
    yield _S["ask_done"], (subscription_id,)


def free_leases() -> Work[None]:
    """Forget the leases of a process that is gone; only where no other can be running."""
    yield _S["ask_free_leases"], ()


def memo(name: str) -> Work[str | None]:
    """Read what the program keeps under a name."""
    rows = yield _S["memo_get"], (name,)
    return rows[0][0] if rows else None


def save_memo(name: str, value: str) -> Work[None]:
    """Keep a value under a name."""
    yield _S["memo_put"](name=name, value=value)
