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
