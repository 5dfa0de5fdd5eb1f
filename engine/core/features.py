"""What a user may use, how much of it and in which window.  Pure: what is held, the catalogue and the clock in.

    supply      one thing that a user holds and that gives access: a plan, an add-on, a grant
    allowance   the rule of one feature over all supplies: how much, in which window, by what

A plan gives a feature by naming it in `features` (a switch, no limit) or in `limits`.  What plans, add-ons and
grants give adds up.  An add-on's limit counts once for each of its quantity; a plan's is the whole plan's, for
all its seats.  Who has no access has what `[free]` gives, in months that begin on the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.holding import Holding
from interlock.engine.core.holding import Source as Held
from interlock.engine.core.plans import Feature, Limit
from interlock.engine.core.windows import Period, Window, window_of

_KINDS: Final = ("plan", "addon", "grant")
_PLAIN: Final = Feature()


class Supply(Struct, frozen=True, array_like=True, omit_defaults=True):
    """One thing held that gives access.  `starts`: since when; its months count from there.

    `until` is when it ends by the clock alone, None where it does not.  `customer_id`: whom Stripe bills for it.
    """

    kind: str
    plan: str
    starts: int = 0
    quantity: int = 1
    period: Period | None = None
    until: int | None = None
    customer_id: str | None = None

    def gives(self, key: str, catalogue: Catalogue) -> Limit | None:
        """Return how much of a feature it gives, None where its plan does not name it."""
        plan = catalogue.plans.get(self.plan)
        if plan is None:
            return None
        limit = _named(key, plan.features, plan.limits)
        return limit * self.quantity if self.kind == "addon" and isinstance(limit, int) else limit


def _named(key: str, features: Iterable[str], limits: Mapping[str, Limit]) -> Limit | None:
    limit = limits.get(key)
    return "unlimited" if limit is None and key in features else limit


def supplies(holding: Holding) -> list[Supply]:
    """Return what a user holds that gives access, a plan once for each subscription, though it has several prices."""
    found: dict[tuple[str, str], Supply] = {}
    for source in holding.sources:
        subscription_id = source.subscription.subscription_id if source.subscription else ""
        one = _supply(source)
        known = found.get((subscription_id, one.plan))
        if known is not None:
            one = msgspec.structs.replace(one, quantity=one.quantity + known.quantity)
        found[subscription_id, one.plan] = one
    return [one for one in found.values() if one.plan]


def _supply(source: Held) -> Supply:
    facts = source.subscription.facts if source.subscription else None
    item, period = source.item, None
    end = (item.period_end if item else None) or (facts.current_period_end if facts else None)
    if end is not None:
        interval, interval_count = (item.interval, item.interval_count) if item else (None, 1)
        period = Period(end, interval=interval or "month", interval_count=interval_count)
    return Supply(
        kind=source.kind.value,
        plan=source.place.key or "",
        starts=facts.created if facts else 0,
        quantity=source.quantity,
        period=period,
        until=source.until,
        customer_id=facts.customer_id if facts else None,
    )


class Allowance(Struct, frozen=True, kw_only=True):
    """How much of one feature a user may use in the window that holds `now`.

    `limit` None: without limit.  `given` False: it is denied, and `reason` says why.  `refuses`: what is over the
    limit is refused, else it is counted and billed.
    """

    key: str
    given: bool
    reason: str
    limit: int | None
    window: Window
    refuses: bool = True


def allowance(key: str, held: Sequence[Supply], catalogue: Catalogue, now: int) -> Allowance:
    """Return how much of a feature a user may use now: by all that gives them access, else by `[free]`."""
    living = [one for one in held if one.until is None or now < one.until]
    rule = catalogue.features.get(key, _PLAIN)
    givers = [(one, limit) for one in living if (limit := one.gives(key, catalogue)) is not None]
    if givers:
        limits = [limit for _, limit in givers]
        reason, leading = _reason([one for one, _ in givers]), [one for one, _ in givers]
    else:
        free = None if living else _named(key, catalogue.free.features, catalogue.free.limits)
        limits, reason, leading = [] if free is None else [free], "not_in_plan" if living else "no_access", living
        reason = "free" if limits else reason
    return Allowance(
        key=key,
        given=bool(limits),
        reason=reason,
        limit=None if "unlimited" in limits else sum(limit for limit in limits if isinstance(limit, int)),
        window=_window(rule, leading, now),
        refuses=rule.over == "refuse",
    )


def changes_at(key: str, held: Sequence[Supply], catalogue: Catalogue, now: int) -> int | None:
    """Return when the clock alone changes what an allowance says, the next window aside; None: never."""
    first = allowance(key, held, catalogue, now)
    for end in sorted({one.until for one in held if one.until is not None and now < one.until}):
        later = allowance(key, held, catalogue, end)
        if (later.given, later.reason, later.limit) != (first.given, first.reason, first.limit):
            return end
    return None


def _reason(givers: Sequence[Supply]) -> str:
    kinds = {one.kind for one in givers}
    return next(kind for kind in _KINDS if kind in kinds)


def _window(rule: Feature, givers: Sequence[Supply], now: int) -> Window:
    """The window of a plan before an add-on's before a grant's, the oldest of them: it stays as long as that lives."""
    if not givers:
        return window_of(rule.reset, 0, None, now)
    leading = min(givers, key=lambda one: (_KINDS.index(one.kind), one.starts))
    return window_of(rule.reset, leading.starts, leading.period, now)


def billed_to(key: str, held: Sequence[Supply], catalogue: Catalogue) -> str | None:
    """Return the customer that Stripe bills for a feature: that of the oldest plan which gives it, else any."""
    billed = [one for one in held if one.customer_id is not None]
    giving = [one for one in billed if one.gives(key, catalogue) is not None]
    oldest = min(giving or billed, key=lambda one: (_KINDS.index(one.kind), one.starts), default=None)
    return oldest.customer_id if oldest else None


def is_known(key: str, catalogue: Catalogue) -> bool:
    """Say whether the catalogue names a feature."""
    plans = (*catalogue.plans.values(), catalogue.free)
    return key in catalogue.features or any(key in plan.features for plan in plans)


def known_features(catalogue: Catalogue) -> list[str]:
    """Return every feature that the catalogue names, those with a table first."""
    plans = [*catalogue.plans.values(), catalogue.free]
    return list(dict.fromkeys([*catalogue.features, *(feature for plan in plans for feature in plan.features)]))


def plans_giving(key: str, taken: int, catalogue: Catalogue) -> list[str]:
    """Return the plans that are sold and would allow one more use than what is taken, in the file's order."""
    rule, found = catalogue.features.get(key, _PLAIN), list[str]()
    for name, plan in catalogue.plans.items():
        limit = _named(key, plan.features, plan.limits) if plan.sold else None
        fits = not isinstance(limit, int) or rule.over == "allow" or taken < limit
        if limit is not None and fits:
            found.append(name)
    return found
