"""What a user may use, how much of it, and what one count changes.  Pure: what is held and the clock in, answers out.

    allowance   the rule of one feature, over everything that a user holds: how much, in which window, by what
    counter     what is stored of one user, feature and window: used, and reserved by holds
    count       one use, or its correction: the answer, and the counter after it

A plan gives a feature by naming it in `features` (a switch, no limit) or in `limits`.  What plans, add-ons and
grants give adds up.  An add-on's limit counts once for each of its quantity; a plan's is the whole plan's, for
all its seats.  Who has no access has what `[free]` gives, in months that begin on the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from interlock.engine.core.windows import Period, Window, window_of

Limit: TypeAlias = int | Literal["unlimited"]
_KINDS: Final = ("plan", "addon", "grant")


class Rule(Struct, frozen=True):
    """How one feature is counted: `[features.*]` of the catalogue."""

    reset: str = "month"
    over: str = "refuse"
    meter: str | None = None
    alerts: tuple[float, ...] = ()


class Source(Struct, frozen=True, kw_only=True):
    """One thing held that gives access now.  `starts`: since when, the months count from it.

    `until` is when it ends by the clock alone, None where it does not.
    """

    kind: Literal["plan", "addon", "grant", "free"]
    starts: int
    features: tuple[str, ...] = ()
    limits: Mapping[str, Limit] = {}
    quantity: int = 1
    period: Period | None = None
    until: int | None = None

    def gives(self, key: str) -> Limit | None:
        """Return how much of a feature it gives, None where it does not name it."""
        limit = self.limits.get(key)
        if limit is None:
            return "unlimited" if key in self.features else None
        return limit * self.quantity if self.kind == "addon" and limit != "unlimited" else limit


class Allowance(Struct, frozen=True, kw_only=True):
    """How much of one feature a user may use in the window that holds `now`.

    `limit` None: without limit.  `given` False: it is denied, and `reason` says why.  `until` is when any of
    this changes by the clock alone, the next window aside.
    """

    key: str
    given: bool
    reason: str
    limit: int | None
    window: Window
    until: int | None = None
    refuses: bool = True

    def remaining(self, counter: Counter) -> int | None:
        """Return what is left, None where there is no limit; never below 0."""
        if self.limit is None:
            return None
        return max(0, self.limit - counter.used - counter.reserved)

    def fits(self, counter: Counter, amount: int) -> bool:
        """Say whether so much more may be used."""
        if not self.given:
            return False
        return self.limit is None or not self.refuses or counter.used + counter.reserved + amount <= self.limit


class Counter(Struct, frozen=True):
    """What is stored of one user, feature and window.

    `alerted` is the highest share of the limit that was told, `alert_limit` the limit that it was a share of.
    """

    used: int = 0
    reserved: int = 0
    alerted: float = 0.0
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


def allowance(key: str, rule: Rule, sources: Sequence[Source], free: Source, now: int) -> Allowance:
    """Return how much of a feature a user may use now, by all that gives them access (`sources`), else by `free`."""
    held = [source for source in sources if source.until is None or now < source.until]
    first = _reading(key, rule, held, free, now)
    for end in sorted({source.until for source in held if source.until is not None}):
        later = _reading(
            key, rule, [source for source in held if source.until is None or end < source.until], free, now
        )
        if (later.given, later.reason, later.limit) != (first.given, first.reason, first.limit):
            return msgspec.structs.replace(first, until=end)
    return first


def _reading(key: str, rule: Rule, held: Sequence[Source], free: Source, now: int) -> Allowance:
    givers = [(source, limit) for source in held or (free,) if (limit := source.gives(key)) is not None]
    if not givers:
        reason = "not_in_plan" if held else "no_access"
        window = _window(rule, held or (free,), now)
        return Allowance(key=key, given=False, reason=reason, limit=0, window=window)
    limits = [limit for _, limit in givers]
    return Allowance(
        key=key,
        given=True,
        reason=_reason([source for source, _ in givers]),
        limit=None if "unlimited" in limits else sum(limit for limit in limits if isinstance(limit, int)),
        window=_window(rule, [source for source, _ in givers], now),
        refuses=rule.over == "refuse",
    )


def _reason(givers: Sequence[Source]) -> str:
    kinds = {source.kind for source in givers}
    return next((kind for kind in _KINDS if kind in kinds), "free")


def _window(rule: Rule, givers: Sequence[Source], now: int) -> Window:
    """The window of a plan before an add-on's before a grant's, the oldest of them: it stays as long as that lives."""
    rank = {kind: place for place, kind in enumerate(_KINDS)}
    leading = min(givers, key=lambda source: (rank.get(source.kind, len(rank)), source.starts))
    return window_of(rule.reset, leading.starts, leading.period, now)


def answer(given: Allowance, counter: Counter, *, allowed: bool) -> Answer:
    """Say how a count stands."""
    reason = given.reason if allowed or not given.given else "limit_reached"
    return Answer(
        allowed=allowed,
        reason=reason,
        used=counter.used,
        remaining=given.remaining(counter),
        resets_at=given.window.end,
    )


def standing(given: Allowance, counter: Counter) -> Answer:
    """Say how a feature stands: allowed where one more may be used."""
    return answer(given, counter, allowed=given.fits(counter, 1))


def count(given: Allowance, counter: Counter, amount: int) -> tuple[Answer, Counter]:
    """Use `amount` at once or not at all.  A negative amount corrects; what is used never falls below 0."""
    if not (given.fits(counter, amount) if amount > 0 else given.given and counter.used + amount >= 0):
        return answer(given, counter, allowed=False), counter
    after = msgspec.structs.replace(counter, used=counter.used + amount)
    return answer(given, after, allowed=True), after


def reserve(given: Allowance, counter: Counter, amount: int) -> tuple[Answer, Counter]:
    """Set `amount` aside, at once or not at all."""
    if not given.fits(counter, amount):
        return answer(given, counter, allowed=False), counter
    after = msgspec.structs.replace(counter, reserved=counter.reserved + amount)
    return answer(given, after, allowed=True), after


def settle(given: Allowance, counter: Counter, held: int, amount: int) -> tuple[Answer, Counter]:
    """Count what a hold of `held` really came to.  Up to `held` it always fits; more must fit like any other use."""
    assert held <= counter.reserved, "a hold that still stands is part of what is reserved"
    freed = msgspec.structs.replace(counter, reserved=counter.reserved - held)
    if amount > held and not given.fits(freed, amount):
        return answer(given, counter, allowed=False), counter
    after = msgspec.structs.replace(freed, used=freed.used + amount)
    return answer(given, after, allowed=True), after


def alerts(rule: Rule, given: Allowance, counter: Counter, *, refused: bool = False) -> tuple[list[Alert], Counter]:
    """Return what is to be told of a counter, and the counter that remembers it.

    Each share of a limit is told once a window; another limit begins anew.  A full one, and the first use that
    did not fit, is `limit.reached`, once, whether `alerts` names it or not.
    """
    if not given.given or given.limit is None:
        return [], counter
    limit, told = given.limit, counter.alerted if counter.alert_limit == given.limit else 0.0
    passed = [share for share in {*rule.alerts, 1.0} if told < share and _passed(share, limit, counter.used, refused)]
    if not passed:
        return [], counter
    after = msgspec.structs.replace(counter, alerted=max(passed), alert_limit=limit)
    return [
        Alert("limit.reached" if share == 1.0 else "limit.alert", given.key, share, limit, counter.used)
        for share in sorted(passed)
    ], after


def _passed(share: float, limit: int, used: int, refused: bool) -> bool:
    """Whether a share of a limit is used up; exact where a share as text is ("0.8" of 10 is 8)."""
    return (refused and share == 1.0) or (limit > 0 and used >= round(share * limit, 9))


def conflicts(
    keys: Iterable[str], rules: Mapping[str, Rule], sources: Sequence[Source], free: Source,
    used: Mapping[str, int], now: int, *, resets: bool,
) -> list[tuple[str, int, int]]:  # fmt: skip
    """Return (feature, limit, used) of what would not fit once `sources` are all that is held.

    `resets`: the change waits for a new period, so that only what never resets counts.
    """
    found: list[tuple[str, int, int]] = []
    for key in keys:
        rule = rules.get(key, Rule())
        if rule.over != "refuse" or (resets and rule.reset != "never"):
            continue
        after = allowance(key, rule, sources, free, now)
        if after.limit is not None and used.get(key, 0) > after.limit:
            found.append((key, after.limit, used[key]))
    return found
