"""When a date that must bring a change has passed, Stripe is asked: case H."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock.engine.core.dates import AFTER_A_DATE, AFTER_A_PERIOD, next_check
from tests.engine.held import sub
from tests.kit.bodies import DAY, MONTH, T0

PERIOD = T0 + MONTH + AFTER_A_PERIOD


@pytest.mark.parametrize(
    ("status", "facts", "as_of", "expected"),
    [
        ("active", {}, T0, PERIOD),
        ("active", {"cancel_at": T0 + DAY}, T0, T0 + DAY + AFTER_A_DATE),
        ("trialing", {"trial_end": T0 + DAY}, T0, T0 + DAY + AFTER_A_DATE),
        ("active", {"trial_end": T0 + DAY}, T0, PERIOD),
        ("trialing", {"trial_end": T0 + DAY}, T0 + DAY + 60, T0 + DAY + AFTER_A_DATE),
        ("trialing", {"trial_end": T0 + DAY}, T0 + DAY + AFTER_A_DATE, PERIOD),
        ("active", {}, PERIOD, None),
        ("active", {"current_period_end": None}, T0, None),
        ("canceled", {}, T0, None),
        ("active", {"test_clock": "clock_1"}, T0, None),
    ],
)
def test_kind_h_the_next_date_that_must_bring_a_change(
    status: str, facts: dict[str, Any], as_of: int, expected: int | None
) -> None:
    """The end of a trial, of the subscription, of its period; over once something later is known of it."""
    known = msgspec.structs.replace(sub("sub_1", status=status, **facts), as_of=as_of)
    assert next_check(known) == expected
