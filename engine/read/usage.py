"""Usage as an operator reads it: each counted feature of a user, and whether Stripe's meter says the same."""

from __future__ import annotations

from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.counting import Counter, remaining
from interlock.engine.core.features import allowance, billed_to
from interlock.engine.core.view import rfc3339
from interlock.engine.store import Work
from interlock.engine.units import meters as units
from interlock.engine.units import records
from interlock.engine.units.meters import Told
from interlock.engine.units.usage import REMEMBERED, held_by


class UsageLine(Struct, frozen=True, kw_only=True):
    """One counted feature of a user.  `limit` and `remaining` are null where there is no limit.

    Where it has a meter: `delivered` is what Stripe was told from `since` on, the first whole minute of the window
    (35 days ago at most), `waiting` what it is still to be told, `dead` what it will never take; `stripe` is the
    meter's own summary of the same time, null where it was not asked.
    """

    user_id: str
    feature: str
    limit: int | None
    used: int
    reserved: int
    remaining: int | None
    resets_at: str | None
    meter: str | None = None
    customer_id: str | None = None
    since: int = 0
    delivered: int | None = None
    waiting: int | None = None
    dead: int | None = None
    stripe: float | None = None

    @property
    def differs(self) -> bool:
        """Whether Stripe's summary is another than what was delivered."""
        return self.stripe is not None and self.stripe != self.delivered


def lines(user_id: str, catalogue: Catalogue, now: int) -> Work[list[UsageLine] | None]:
    """Read what a user has used of each counted feature; None where the user must be projected first."""
    supplies = yield from held_by(user_id, catalogue, now)
    if supplies is None:
        return None
    counters = yield from records.counters_of_user(user_id)
    found: list[UsageLine] = []
    for key, rule in catalogue.features.items():
        given = allowance(key, supplies, catalogue, now)
        counter = counters.get((key, given.window.start), Counter())
        if not given.given and not counter.used:
            continue
        customer_id = billed_to(key, supplies, catalogue) if rule.meter else None
        since, told = _whole_minute(max(given.window.start, now - REMEMBERED)), Told()
        if rule.meter is not None and customer_id is not None:
            told = yield from units.told(customer_id, rule.meter, since, now + 60)
        metered = customer_id is not None
        found.append(
            UsageLine(
                user_id=user_id,
                feature=key,
                limit=given.limit,
                used=counter.used,
                reserved=counter.reserved,
                remaining=remaining(given, counter),
                resets_at=rfc3339(given.window.end),
                meter=rule.meter,
                customer_id=customer_id,
                since=since,
                delivered=told.delivered if metered else None,
                waiting=told.waiting if metered else None,
                dead=told.dead if metered else None,
            )
        )
    return found


def _whole_minute(at: int) -> int:
    """Return the first whole minute from a time on: Stripe's summaries know no other bounds."""
    return -(-at // 60) * 60
