"""Counting, as units of work: read what is held, decide by `core.counting`, write the counter.  One transaction each.

What a user holds is read as the projection left it.  Where the clock or another catalogue has changed that since,
a unit returns None and has written nothing: project the user, then do it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.counting import Answer, Counter, alerts, answer, count, reserve, settle
from interlock.engine.core.features import Allowance, Supply, allowance, billed_to
from interlock.engine.core.plans import Feature
from interlock.engine.core.windows import Window, period_window
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.records import Hold

DAY: Final = 86_400
REMEMBERED: Final = 35 * DAY
"""How long the id of a use is remembered; Stripe takes no meter event that is older."""
AHEAD: Final = 300
"""How far in the future a use may lie, in seconds: clocks differ.  Stripe's bound is the same."""
_PLAIN: Final = Feature()
_supplies: Final = msgspec.json.Decoder(list[Supply])
_answers: Final = msgspec.json.Decoder(Answer)


class Use(Struct, frozen=True):
    """One use.  `id` is the caller's own, and counts once; `at` None: now.  A negative amount corrects."""

    feature: str
    amount: int = 1
    id: str | None = None
    at: int | None = None


class Counted(Struct, frozen=True):
    """What came of a use: the answer; whether its id was here before; why it was not counted."""

    answer: Answer
    duplicate: bool = False
    why: str | None = None


@dataclass(slots=True)
class Account:
    """What one user holds and has used, for the length of a transaction."""

    user_id: str
    supplies: Sequence[Supply]
    unit: Unit
    _counters: dict[tuple[str, int], Counter] = field(default_factory=dict[tuple[str, int], Counter])
    _changed: dict[tuple[str, int], Counter] = field(default_factory=dict[tuple[str, int], Counter])

    @property
    def now(self) -> int:
        return int(self.unit.now)

    def rule(self, feature: str) -> Feature:
        return self.unit.catalogue.features.get(feature, _PLAIN)

    def allowance(self, feature: str, at: int) -> Allowance:
        """What is held now, in the window that holds `at`."""
        return allowance(feature, self.supplies, self.unit.catalogue, at)

    def counter(self, feature: str, window: Window) -> Work[Counter]:
        """Read a counter once; holds that have ended are no part of it."""
        known = self._counters.get((feature, window.start))
        if known is not None:
            return known
        found = yield from records.counter(self.user_id, feature, window.start)
        if found.reserved and found.holds_until <= self.now:
            found = yield from without_ended_holds(self.user_id, feature, window.start, found, self.now)
        self._counters[feature, window.start] = found
        return found

    def keep(self, feature: str, window: Window, after: Counter) -> None:
        """Note a counter, to be written at the end."""
        self._counters[feature, window.start] = self._changed[feature, window.start] = after

    def bill(self, feature: str, amount: int, at: int) -> Work[None]:
        """Add a use to what Stripe's meter is to be told, where the feature has one and somebody is billed."""
        meter = self.rule(feature).meter
        customer_id = billed_to(feature, self.supplies, self.unit.catalogue) if meter else None
        if meter is not None and customer_id is not None and amount:
            minute = max(at - at % 60, *self._begun(at))
            yield from records.add_to_minute(customer_id, meter, minute, amount)

    def _begun(self, at: int) -> Iterator[int]:
        """When the billing periods that hold a time began: nothing is billed in the period before."""
        yield 0
        yield from (period_window(one.period, at).start for one in self.supplies if one.period is not None)

    def close(self) -> Work[None]:
        """Write what changed."""
        for (feature, start), after in self._changed.items():
            yield from records.save_counter(self.user_id, feature, start, after)


def held_by(user_id: str, catalogue: Catalogue, now: float) -> Work[list[Supply] | None]:
    """Read what a user holds; None where the clock or another catalogue has changed it since it was projected."""
    row = yield from records.supplied(user_id)
    if row is None:
        return []
    ended = row.until is not None and row.until <= now
    if row.supplies is None or ended or row.catalogue != catalogue.digest:
        return None
    return _supplies.decode(row.supplies)


def account(user_id: str, unit: Unit) -> Work[Account | None]:
    """Open what a user holds and has used; None where the user must be projected first."""
    supplies = yield from held_by(user_id, unit.catalogue, unit.now)
    return None if supplies is None else Account(user_id, supplies, unit)


def without_ended_holds(user_id: str, feature: str, start: int, counter: Counter, now: int) -> Work[Counter]:
    """Return a counter whose `reserved` is what the holds that still stand add up to."""
    reserved, until = yield from records.open_holds(user_id, feature, start, now)
    return msgspec.structs.replace(counter, reserved=reserved, holds_until=until)


# --- uses ------------------------------------------------------------------------------------------------


def use(user_id: str, uses: Sequence[Use], unit: Unit) -> Work[list[Counted] | None]:
    """Count uses of one user, in their order, each whole or not at all."""
    one = yield from account(user_id, unit)
    if one is None:
        return None
    counted: list[Counted] = []
    for each in uses:
        counted.append((yield from _use(one, each)))  # noqa: PERF401  a comprehension can't yield
    yield from one.close()
    return counted


def _use(one: Account, use: Use) -> Work[Counted]:
    if use.id is not None:
        before = yield from records.answer_before(one.user_id, use.feature, use.id, one.now - REMEMBERED)
        if before is not None:
            return Counted(_answers.decode(before), duplicate=True)
    at = one.now if use.at is None else use.at
    given = one.allowance(use.feature, at)
    counter = yield from one.counter(use.feature, given.window)
    if why := _not_its_time(at, one.now):
        return Counted(answer(given, counter, allowed=False), why=why)
    answered = yield from _count(one, given, counter, use.amount, at)
    if use.id is not None:
        body = msgspec.json.encode(answered)
        yield from records.remember_answer(one.user_id, use.feature, use.id, one.now, body)
    return Counted(answered, why=None if answered.allowed else _why(answered, use.amount))


def _not_its_time(at: int, now: int) -> str | None:
    if at <= now - REMEMBERED:
        return "too_old"
    return "in_the_future" if at > now + AHEAD else None


def _why(answered: Answer, amount: int) -> str:
    return "below_zero" if amount < 0 else answered.reason


def _count(one: Account, given: Allowance, counter: Counter, amount: int, at: int) -> Work[Answer]:
    answered, after = count(given, counter, amount)
    after = _alert(one, given, after, refused=amount > 0 and not answered.allowed)
    if after != counter:
        one.keep(given.key, given.window, after)
    if answered.allowed:
        yield from one.bill(given.key, amount, at)
    return answered


def _alert(one: Account, given: Allowance, counter: Counter, *, refused: bool) -> Counter:
    found, after = alerts(one.rule(given.key), given, counter, refused=refused)
    one.unit.alerts += ((one.user_id, alert) for alert in found)
    return after


# --- holds -----------------------------------------------------------------------------------------------


class SetAside(Struct, frozen=True):
    """What came of a hold, and until when it stands where it was allowed."""

    answer: Answer
    expires_at: int


def hold(user_id: str, feature: str, amount: int, seconds: int, hold_id: str, unit: Unit) -> Work[SetAside | None]:
    """Set an amount aside for some seconds, under a new id, where it fits."""
    one = yield from account(user_id, unit)
    if one is None:
        return None
    given = one.allowance(feature, one.now)
    counter = yield from one.counter(feature, given.window)
    expires_at = one.now + seconds
    answered, after = reserve(given, counter, amount, expires_at)
    if answered.allowed:
        yield from records.add_hold(Hold(hold_id, user_id, feature, given.window.start, amount, one.now, expires_at))
    after = _alert(one, given, after, refused=not answered.allowed)
    if after != counter:
        one.keep(feature, given.window, after)
    yield from one.close()
    return SetAside(answered, expires_at)


def settle_hold(hold_id: str, amount: int, unit: Unit) -> Work[Counted | None]:
    """Count what a hold really came to; the second time the first answer again.

    It counts in the window, and at the time, of the hold.  One that has ended gave back what it held, so all of
    the amount must fit.  One that is denied stays open.
    """
    found = yield from records.hold(hold_id)
    assert found is not None, "its owner was read before, and a hold that was made is kept for 35 days"
    if found.answer is not None:
        return Counted(_answers.decode(found.answer), duplicate=True)
    one = yield from account(found.user_id, unit)
    if one is None:
        return None
    given = one.allowance(found.feature, found.at)
    given = msgspec.structs.replace(given, window=Window(found.window_start, given.window.end))
    counter = yield from one.counter(found.feature, given.window)
    held = found.amount if one.now < found.expires_at else 0
    answered, after = settle(given, counter, held, amount)
    after = _alert(one, given, after, refused=not answered.allowed)
    if after != counter:
        one.keep(found.feature, given.window, after)
    if answered.allowed:
        yield from records.settle_hold(hold_id, msgspec.json.encode(answered))
        yield from one.bill(found.feature, amount, found.at)
    yield from one.close()
    return Counted(answered)
