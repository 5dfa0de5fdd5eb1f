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


class Job(Struct, frozen=True):
    """Something to be done, leased.  `key` is what it is about; `name` tells apart what is about the same key."""

    key: str
    name: str
    payload: bytes | None
    attempts: int


class DeadJob(Struct, frozen=True):
    """Something that was given up, and why."""

    seq: int
    kind: str
    key: str
    name: str
    attempts: int
    last_error: str | None
    dead: str


class Waiting(Struct, frozen=True):
    """When the next of a kind is due, in milliseconds, None where there is none; and how many wait."""

    next_due: int | None
    count: int


QUESTION: Final = "question"
"""The kind of job that asks Stripe about a subscription; the key is its id."""


def enqueue(kind: str, key: str, due_at: int, *, name: str = "", payload: bytes | None = None) -> Work[None]:
    """Queue a job for a time (ms), or earlier where it is queued already.  Of each key the oldest is done first."""
    yield _S["queue_put"](kind=kind, key=key, name=name, payload=payload, due_at=due_at)


def lease(kind: str, now: int, lease_until: int, limit: int) -> Work[list[Job]]:
    """Lease the jobs of a kind that are due (ms), so that nobody else does them meanwhile."""
    rows = yield _S["queue_claim"](kind=kind, now=now, lease_until=lease_until, limit=limit)
    return [Job(*row) for row in rows]


def waiting(kind: str) -> Work[Waiting]:
    """Read when the next job of a kind is due, and how many wait."""
    return Waiting(*(yield _S["queue_next"], (kind,))[0])


def postpone(kind: str, key: str, due_at: int, *, name: str = "", error: str | None = None) -> Work[None]:
    """Do a job at a time (ms), because of an error; its lease is over."""
    yield _S["queue_again"](kind=kind, key=key, name=name, due_at=due_at, last_error=error)


def done(kind: str, key: str, *, name: str = "") -> Work[None]:
    """A job is done."""
    yield _S["queue_done"](kind=kind, key=key, name=name)


def bury(kind: str, key: str, reason: str, *, name: str = "") -> Work[None]:
    """Give a job up; it stays to be looked at, and the next of its key has its turn."""
    yield _S["queue_bury"](kind=kind, key=key, name=name, dead=reason)


def dead_jobs(limit: int) -> Work[list[DeadJob]]:
    """Read what was given up, the oldest first."""
    return [DeadJob(*row) for row in (yield _S["queue_dead"], (limit,))]


def free_leases() -> Work[None]:
    """Forget the leases of a process that is gone; only where no other can be running."""
    yield _S["queue_free_leases"], ()


def memo(name: str) -> Work[str | None]:
    """Read what the program keeps under a name."""
    rows = yield _S["memo_get"], (name,)
    return rows[0][0] if rows else None


def save_memo(name: str, value: str) -> Work[None]:
    """Keep a value under a name."""
    yield _S["memo_put"](name=name, value=value)
