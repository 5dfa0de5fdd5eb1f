"""Windows of time in which usage is counted.  Pure arithmetic in UTC; there are no time zones.

    month    from the start of the subscription, month by month, inside an annual plan too
    period   the billing period, as Stripe says it
    never    one window for ever

A window is known by its start.  It begins when the clock says so: nothing runs at midnight.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

FOR_EVER: Final = 0
"""The start of the window that never ends."""
_MONTHS: Final = {"month": 1, "year": 12}
_SECONDS: Final = {"day": 86_400, "week": 7 * 86_400}
_LAST: Final = datetime(9999, 12, 1, tzinfo=UTC)


class Window(Struct, frozen=True):
    """From `start` up to, but without, `end`, in seconds; `end` None: for ever."""

    start: int
    end: int | None


class Period(Struct, frozen=True, array_like=True, omit_defaults=True):
    """A billing period: its bounds in seconds, and how long the next one is (`interval` in Stripe's terms).

    `start` None: only the end is known.
    """

    end: int
    start: int | None = None
    interval: str = "month"
    interval_count: int = 1


def add_months(at: int, months: int) -> int:
    """Return the same day and time some months later; the last day of a month that is too short.

    Stripe moves billing periods this way, each counted from the first: 31 January, 28 February, 31 March.
    """
    moment = datetime.fromtimestamp(at, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= _LAST.year:
        return int(_LAST.timestamp()) if year > 0 else 0
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())


def month_window(anchor: int, now: int) -> Window:
    """Return the month that holds `now`, where the first begins at `anchor`."""
    first, moment = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(now, UTC)
    months = (moment.year - first.year) * 12 + moment.month - first.month
    start = add_months(anchor, months)
    if start > now:
        months -= 1
        start = add_months(anchor, months)
    return Window(start, add_months(anchor, months + 1))


def period_window(period: Period, now: int) -> Window:
    """Return the billing period that holds `now`; those not heard of yet follow at the same distance."""
    start = period.start if period.start is not None else _stepped(period, -1)
    end, steps = period.end, 0
    while end <= now:
        steps += 1
        start, end = end, _stepped(period, steps)
    steps = -1
    while now < start:
        steps -= 1
        start, end = min(_stepped(period, steps), start), start
    return Window(start, end)


def _stepped(period: Period, steps: int) -> int:
    """The period's end, moved by whole periods."""
    months = _MONTHS.get(period.interval)
    if months is not None:
        return add_months(period.end, months * period.interval_count * steps)
    return period.end + _SECONDS.get(period.interval, 86_400) * period.interval_count * steps


def window_of(reset: str, anchor: int, period: Period | None, now: int) -> Window:
    """Return the window of a feature that holds `now`.  Without a billing period, `period` is `month`."""
    if reset == "never":
        return Window(FOR_EVER, None)
    if reset == "period" and period is not None:
        return period_window(period, now)
    return month_window(anchor, now)
