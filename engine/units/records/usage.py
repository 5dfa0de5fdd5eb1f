"""Counters, what was counted before, and holds, as they are stored."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.core.counting import Counter
from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS


class Supplied(Struct, frozen=True):
    """What a user holds, as the projection stored it: `core.features.Supply`s as JSON.

    It was made with the plan catalogue of digest `catalogue`; the clock alone changes it at `until`.
    """

    supplies: bytes | None
    until: int | None
    catalogue: str | None


class Hold(Struct, frozen=True):
    """Something set aside.  `answer` is that of its settlement, None while it is open."""

    hold_id: str
    user_id: str
    feature: str
    window_start: int
    amount: int
    at: int
    expires_at: int
    answer: bytes | None = None


def supplied(user_id: str) -> Work[Supplied | None]:
    """Read what a user holds; None for one never seen."""
    rows = yield _S["users_supplied"], (user_id,)
    return Supplied(*rows[0]) if rows else None


def counter(user_id: str, feature: str, window_start: int) -> Work[Counter]:
    """Read one counter and lock it, where the database locks rows; one never written is at 0."""
    rows = yield _S["usage_counter_get"], (user_id, feature, window_start)
    return Counter(*rows[0]) if rows else Counter()


def counter_unlocked(user_id: str, feature: str, window_start: int) -> Work[Counter]:
    """Read one counter, to show it."""
    rows = yield _S["usage_counter_peek"], (user_id, feature, window_start)
    return Counter(*rows[0]) if rows else Counter()


def counters_of_user(user_id: str) -> Work[dict[tuple[str, int], Counter]]:
    """Read all counters of a user, by feature and window start."""
    rows = yield _S["usage_counters_of_user"], (user_id,)
    return {(row[0], row[1]): Counter(*row[2:]) for row in rows}


def save_counter(user_id: str, feature: str, window_start: int, one: Counter) -> Work[None]:
    """Write one counter."""
    columns = (one.used, one.reserved, one.holds_until, one.alerted, one.alert_limit)
    yield _S["usage_counter_put"], (user_id, feature, window_start, *columns)


def open_holds(user_id: str, feature: str, window_start: int, now: int) -> Work[tuple[int, int]]:
    """Read how much of a counter is set aside now, and when the first of its holds ends (0: there is none)."""
    rows = yield _S["usage_hold_open"](user_id=user_id, feature=feature, window_start=window_start, now=now)
    return int(rows[0][0]), rows[0][1]


def answer_before(user_id: str, feature: str, use_id: str, since: int) -> Work[bytes | None]:
    """Read what was answered to a use of that id, where it has been here since a time."""
    rows = yield _S["usage_seen_get"](user_id=user_id, feature=feature, id=use_id)
    return rows[0][0] if rows and rows[0][1] > since else None


def remember_answer(user_id: str, feature: str, use_id: str, at: int, answer: bytes) -> Work[None]:
    """Keep what was answered to a use."""
    yield _S["usage_seen_put"](user_id=user_id, feature=feature, id=use_id, at=at, answer=answer)


def forget_answers(before: int) -> Work[int]:
    """Forget the oldest answers given before a time, some 500; returns how many."""
    return len((yield _S["usage_seen_forget"], (before,)))


def hold(hold_id: str) -> Work[Hold | None]:
    """Read one hold and lock it, where the database locks rows."""
    rows = yield _S["usage_hold_get"], (hold_id,)
    return Hold(*rows[0]) if rows else None


def owner_of_hold(hold_id: str) -> Work[str | None]:
    """Read whose a hold is."""
    rows = yield _S["usage_hold_owner"], (hold_id,)
    return rows[0][0] if rows else None


def add_hold(one: Hold) -> Work[None]:
    """Store an open hold."""
    yield (
        _S["usage_hold_add"],
        (one.hold_id, one.user_id, one.feature, one.window_start, one.amount, one.at, one.expires_at),
    )


def settle_hold(hold_id: str, answer: bytes) -> Work[None]:
    """Close a hold."""
    yield _S["usage_hold_settle"](hold_id=hold_id, answer=answer)


def forget_holds(before: int) -> Work[int]:
    """Forget the oldest holds made before a time, at most 500; returns how many."""
    return len((yield _S["usage_hold_forget"], (before,)))
