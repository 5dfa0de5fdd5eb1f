"""Billing periods: when one ends that starts here."""

from __future__ import annotations

import calendar
import datetime as dt

from interlock.api.sandbox.core.errors import Obj, invalid

HOUR, DAY = 3_600, 86_400
FARTHEST = 5 * 366 * DAY
_FIXED = {"day": DAY, "week": 7 * DAY}
_MONTHS = {"month": 1, "year": 12}


def in_future(at: int, now: int, param: str) -> int:
    """`at`, where Stripe would take it for a moment to come."""
    if at <= now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param)
    if at > now + FARTHEST:
        raise invalid("Invalid timestamp: can be no more than five years in the future.", param)
    return at


def _plus_months(anchor: int, months: int) -> int:
    start = dt.datetime.fromtimestamp(anchor, dt.UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def earliest_end(sub: Obj) -> int:
    """The end of a subscription's period that ends first."""
    return min(int(item["current_period_end"]) for item in sub["items"]["data"])


def earliest_start(sub: Obj) -> int:
    """The start of a subscription's period that began first."""
    return min(int(item["current_period_start"]) for item in sub["items"]["data"])


def period_around(recurring: Obj, anchor: int, at: int) -> tuple[int, int]:
    """The period, counted from the anchor, in which a moment lies."""
    end = period_end(recurring, anchor, at)
    back, count = str(recurring["interval"]), int(recurring["interval_count"])
    if back in _FIXED:
        return end - _FIXED[back] * count, end
    turns = 0
    while _plus_months(anchor, turns * _MONTHS[back] * count) < end:
        turns += 1
    return _plus_months(anchor, (turns - 1) * _MONTHS[back] * count), end


def period_end(recurring: Obj, anchor: int, after: int) -> int:
    """The first end of a period, counted from the anchor, that is later than `after`.

    Counting from the anchor keeps the 31st: January 31, February 28, March 31.
    """
    interval, count = str(recurring["interval"]), int(recurring["interval_count"])
    if interval in _FIXED:
        step = _FIXED[interval] * count
        return anchor + ((after - anchor) // step + 1) * step
    step = _MONTHS[interval] * count
    turns = max(0, (after - anchor) // (31 * DAY * step))
    while _plus_months(anchor, turns * step) <= after:
        turns += 1
    return _plus_months(anchor, turns * step)
