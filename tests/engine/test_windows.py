"""The windows that usage is counted in: months of a subscription, billing periods, for ever."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.windows import Period, Window, add_months, month_window, period_window, window_of


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("anchor", "now", "start", "end"),
    [
        ("2026-01-15T10:00", "2026-01-15T10:00", "2026-01-15T10:00", "2026-02-15T10:00"),
        ("2026-01-15T10:00", "2026-02-15T09:59:59", "2026-01-15T10:00", "2026-02-15T10:00"),
        ("2026-01-15T10:00", "2026-02-15T10:00", "2026-02-15T10:00", "2026-03-15T10:00"),
        ("2026-01-31T00:00", "2026-02-28T00:00", "2026-02-28T00:00", "2026-03-31T00:00"),
        ("2026-01-31T00:00", "2026-03-30T23:59", "2026-02-28T00:00", "2026-03-31T00:00"),
        ("2026-01-31T00:00", "2026-04-30T00:00", "2026-04-30T00:00", "2026-05-31T00:00"),
        ("2024-02-29T12:00", "2025-02-28T12:00", "2025-02-28T12:00", "2025-03-29T12:00"),
        ("2024-02-29T12:00", "2028-02-29T12:00", "2028-02-29T12:00", "2028-03-29T12:00"),
        ("2026-01-15T10:00", "2025-12-31T00:00", "2025-12-15T10:00", "2026-01-15T10:00"),
        ("1970-01-01T00:00", "2026-11-27T16:00", "2026-11-01T00:00", "2026-12-01T00:00"),
    ],
)
def test_months_are_counted_from_the_start(anchor: str, now: str, start: str, end: str) -> None:
    """Promise: a month ends on the day it began, or on the last of a shorter month, and never drifts."""
    assert month_window(at(anchor), at(now)) == Window(at(start), at(end))


TIMES = st.integers(at("2000-01-01"), at("2099-12-31"))


@given(anchor=TIMES, now=TIMES)
def test_months_lie_side_by_side(anchor: int, now: int) -> None:
    """Promise: each second lies in exactly one month, each month's end is the next one's start."""
    window = month_window(anchor, now)
    assert window.end is not None
    assert window.start <= now < window.end
    assert month_window(anchor, window.end).start == window.end
    assert month_window(anchor, window.start) == window == month_window(anchor, window.end - 1)
    assert 28 <= (window.end - window.start) / 86_400 <= 31


PERIODS = st.builds(
    Period,
    end=TIMES,
    interval=st.sampled_from(["week", "month", "year"]),
    interval_count=st.integers(1, 6),
)


@given(period=PERIODS, now=TIMES)
def test_periods_lie_side_by_side(period: Period, now: int) -> None:
    """Promise: each second lies in exactly one billing period, heard of or not."""
    window = period_window(period, now)
    assert window.end is not None
    assert window.start <= now < window.end
    assert period_window(period, window.end).start == window.end
    assert period_window(period, window.start) == window


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-20", "2026-01-15", "2026-02-15"),
        ("2026-02-15", "2026-02-15", "2026-03-15"),
        ("2026-04-16", "2026-04-15", "2026-05-15"),
        ("2026-01-14", "2025-12-15", "2026-01-15"),
    ],
)
def test_a_period_not_heard_of_yet_has_begun(now: str, start: str, end: str) -> None:
    """Promise: a window begins by the clock, though the renewal's webhook has not come; its start stays the same."""
    period = Period(start=at("2026-01-15"), end=at("2026-02-15"))
    assert period_window(period, at(now)) == Window(at(start), at(end))
    if now >= "2026-02-15":
        renewed = Period(start=at("2026-02-15"), end=at("2026-03-15"))
        assert period_window(renewed, at(now)) == period_window(period, at(now))


def test_a_first_period_may_be_short() -> None:
    """Promise: a trial of 14 days is a period; what lies before it is no part of it."""
    trial = Period(start=at("2026-01-01"), end=at("2026-01-15"))
    assert period_window(trial, at("2026-01-10")) == Window(at("2026-01-01"), at("2026-01-15"))
    before = period_window(trial, at("2025-12-31"))
    assert before.end == at("2026-01-01")


def test_each_reset_has_its_window() -> None:
    """Promise: inside an annual plan `month` is a month, `period` the year, `never` one window for ever."""
    year = Period(start=at("2026-03-10"), end=at("2027-03-10"), interval="year")
    now = at("2026-11-27")
    assert window_of("month", at("2026-03-10"), year, now) == Window(at("2026-11-10"), at("2026-12-10"))
    assert window_of("period", at("2026-03-10"), year, now) == Window(at("2026-03-10"), at("2027-03-10"))
    assert window_of("never", at("2026-03-10"), year, now) == Window(0, None)
    assert window_of("period", at("2026-03-10"), None, now) == window_of("month", at("2026-03-10"), None, now)


@given(start=TIMES, months=st.integers(-240, 240))
def test_a_month_later_is_the_same_time_of_day(start: int, months: int) -> None:
    """Promise: time zones and daylight saving touch nothing."""
    assert add_months(start, months) % 86_400 == start % 86_400
