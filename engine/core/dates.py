"""When Stripe is to be asked because a date has passed that must have brought a change."""

from __future__ import annotations

from typing import Final

from interlock.engine.core.states import LIVING, State, Subscription

AFTER_A_DATE: Final = 240
"""Seconds that an event about the end of a trial, or of the subscription, may take."""
AFTER_A_PERIOD: Final = 7_200
"""Seconds after a period's end: Stripe finalises the invoice of the next one an hour later."""


def next_check(known: Subscription) -> int | None:
    """Return when to ask about a subscription, None where no date of it is to come.

    It follows from the facts and the moment that they describe (`as_of`): once anything that was said later is
    known, the date is over.  A subscription on a test clock has another time than ours.
    """
    facts = known.facts
    if facts is None or known.state not in LIVING or facts.test_clock is not None:
        return None
    trial_end = facts.trial_end if known.state is State.TRIALING else None
    dates = [date + AFTER_A_DATE for date in (trial_end, facts.cancel_at) if date is not None]
    if facts.current_period_end is not None:
        dates.append(facts.current_period_end + AFTER_A_PERIOD)
    return min((date for date in dates if date > known.as_of), default=None)
