"""What one count, hold or correction changes.  Pure: an allowance and a counter in, an answer and a counter out.

    counter   what is stored of one user, feature and window: used, and reserved by holds
    count     one use, or its correction
    reserve   set aside what may be needed; settle it with what it really was

A use is counted whole or not at all, so that a limit is never passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.features import Allowance, Supply, allowance
from interlock.engine.core.plans import Feature

_MOST: Final = 2**53 - 1
"""What JSON can say exactly: nothing is counted beyond it."""
_FULL: Final = 1.0
"""The share of a limit at which it is reached."""


class Counter(Struct, frozen=True):
    """What is stored of one user, feature and window.

    `holds_until`: when the first of the holds that make up `reserved` ends, 0 where there is none; from then on
    `reserved` must be added up anew.  `alerted` is the highest share of the limit that was told, in thousandths,
    `alert_limit` the limit that it was a share of.
    """

    used: int = 0
    reserved: int = 0
    holds_until: int = 0
    alerted: int = 0
    alert_limit: int = -1


class Answer(Struct, frozen=True, kw_only=True):
    """What came of one count.  `resets_at` in seconds."""

    allowed: bool
    reason: str
    used: int
    remaining: int | None
    resets_at: int | None


class Alert(Struct, frozen=True):
    """A share of the limit was passed.  `type` is that of the change that tells it."""

    type: Literal["limit.alert", "limit.reached"]
    feature: str
    share: float
    limit: int
    used: int


def remaining(given: Allowance, counter: Counter) -> int | None:
    """Return what is left, None where there is no limit; never below 0."""
    if given.limit is None:
        return None
    return max(0, given.limit - counter.used - counter.reserved)


def fits(given: Allowance, counter: Counter, amount: int) -> bool:
    """Say whether so much more may be used."""
    taken = counter.used + counter.reserved + amount
    if not given.given or taken > _MOST:
        return False
    return given.limit is None or not given.refuses or taken <= given.limit


def answer(given: Allowance, counter: Counter, *, allowed: bool) -> Answer:
    """Say how a count stands."""
    reason = given.reason if allowed or not given.given else "limit_reached"
    return Answer(
        allowed=allowed,
        reason=reason,
        used=counter.used,
        remaining=remaining(given, counter),
        resets_at=given.window.end,
    )


def standing(given: Allowance, counter: Counter) -> Answer:
    """Say how a feature stands: allowed where one more may be used."""
    return answer(given, counter, allowed=fits(given, counter, 1))


def count(given: Allowance, counter: Counter, amount: int) -> tuple[Answer, Counter]:
    """Use `amount` at once or not at all.

    A negative amount corrects, also what is no longer held; what is used never falls below 0.
    """
    if not (fits(given, counter, amount) if amount > 0 else counter.used + amount >= 0):
        return answer(given, counter, allowed=False), counter
    after = msgspec.structs.replace(counter, used=counter.used + amount)
    return answer(given, after, allowed=True), after


def reserve(given: Allowance, counter: Counter, amount: int, until: int) -> tuple[Answer, Counter]:
    """Set `amount` aside until a time, at once or not at all."""
    if not fits(given, counter, amount):
        return answer(given, counter, allowed=False), counter
    first = min(counter.holds_until or until, until)
    after = msgspec.structs.replace(counter, reserved=counter.reserved + amount, holds_until=first)
    return answer(given, after, allowed=True), after


def settle(given: Allowance, counter: Counter, held: int, amount: int) -> tuple[Answer, Counter]:
    """Count what a hold of `held` really came to.  Up to `held` it always fits; more must fit like any other use."""
    assert held <= counter.reserved, "a hold that still stands is part of what is reserved"
    freed = msgspec.structs.replace(counter, reserved=counter.reserved - held)
    if amount > held and not fits(given, freed, amount):
        return answer(given, counter, allowed=False), counter
    after = msgspec.structs.replace(freed, used=freed.used + amount)
    return answer(given, after, allowed=True), after


def alerts(rule: Feature, given: Allowance, counter: Counter, *, refused: bool = False) -> tuple[list[Alert], Counter]:
    """Return what is to be told of a counter, and the counter that remembers it.

    Each share of a limit is told once a window; another limit begins anew.  A full one, and the first use that
    did not fit, is `limit.reached`, once, whether `alerts` names it or not.
    """
    if not given.given or given.limit is None:
        return [], counter
    limit, told = given.limit, counter.alerted if counter.alert_limit == given.limit else 0
    passed = [
        share
        for share in {*rule.alerts, _FULL}
        if told < round(share * 1000) and _passed(share, limit, counter.used, refused)
    ]
    if not passed:
        return [], counter
    after = msgspec.structs.replace(counter, alerted=round(max(passed) * 1000), alert_limit=limit)
    return [
        Alert("limit.reached" if share == _FULL else "limit.alert", given.key, share, limit, counter.used)
        for share in sorted(passed)
    ], after


def _passed(share: float, limit: int, used: int, refused: bool) -> bool:
    """Whether a share of a limit is used up; exact where a share as text is ("0.8" of 10 is 8)."""
    return (refused and share == _FULL) or (limit > 0 and used >= round(share * limit, 9))


def conflicts(
    held: Sequence[Supply], used: Mapping[str, int], catalogue: Catalogue, now: int, *, resets: bool
) -> list[tuple[str, int, int]]:
    """Return (feature, limit, used) of what would not fit once `held` is all that is held.

    `resets`: the change waits for a new period, so that only what never resets counts.
    """
    found: list[tuple[str, int, int]] = []
    for key, rule in catalogue.features.items():
        if rule.over == "refuse" and (rule.reset == "never" or not resets):
            after = allowance(key, held, catalogue, now)
            if after.limit is not None and used.get(key, 0) > after.limit:
                found.append((key, after.limit, used[key]))
    return found
