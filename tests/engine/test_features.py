"""What a user may use: what is held adds up, limits hold, and each answer has its reason."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.counting import Counter, alerts, conflicts, count, remaining, reserve, settle
from interlock.engine.core.features import (
    Allowance,
    Supply,
    allowance,
    changes_at,
    known_features,
    plans_giving,
)
from interlock.engine.core.plans import Feature, Free, Limit, Plan
from interlock.engine.core.windows import Period, Window

Over: TypeAlias = Literal["refuse", "allow"]
NOW = 1_800_000_000
DAY = 86_400
FREE = Free(features=("login",), limits={"calls": 10})


def plan(*features: str, sold: bool = True, addon: bool = False, **limits: Limit) -> Plan:
    return Plan(name="A plan", price="price_1", features=features, limits=limits, sold=sold, addon=addon)


PLANS = {
    "pro": plan("export", calls=100, projects=3),
    "pack": plan(addon=True, calls=50),
    "seven": plan(calls=7),
    "all": plan(calls="unlimited"),
    "one": plan(calls=1),
    "less": plan(calls=50, projects=3, tokens=5),
    "old": plan("export", sold=False),
}
PRO = Supply("plan", "pro", NOW - DAY)
PACK = Supply("addon", "pack", NOW - 9 * DAY, 2)
GRANT = Supply("grant", "seven", NOW - 3 * DAY, until=NOW + DAY)
ALL = Supply("plan", "all", NOW - 2 * DAY)


def book(calls: Feature = Feature(), **others: Feature) -> Catalogue:  # noqa: B008
    return Catalogue(plans=PLANS, free=FREE, features={"calls": calls, **others})


def may(key: str, *held: Supply, rule: Feature = Feature(), now: int = NOW) -> Allowance:  # noqa: B008
    return allowance(key, held, book(rule), now)


@pytest.mark.parametrize(
    ("key", "held", "expected"),
    [
        ("calls", [], (True, "free", 10)),
        ("login", [], (True, "free", None)),
        ("export", [], (False, "no_access", 0)),
        ("calls", [PRO], (True, "plan", 100)),
        ("export", [PRO], (True, "plan", None)),
        ("login", [PRO], (False, "not_in_plan", 0)),
        ("calls", [PRO, PACK], (True, "plan", 200)),
        ("calls", [PACK], (True, "addon", 100)),
        ("calls", [PRO, PRO, PACK], (True, "plan", 300)),
        ("calls", [PRO, PACK, GRANT], (True, "plan", 207)),
        ("calls", [GRANT], (True, "grant", 7)),
        ("calls", [PRO, ALL], (True, "plan", None)),
        ("projects", [PACK], (False, "not_in_plan", 0)),
    ],
)
def test_what_is_held_adds_up(key: str, held: list[Supply], expected: tuple[bool, str, int | None]) -> None:
    """Promise: plans, add-ons (by their quantity) and grants add up; unlimited wins; free is for who has no access."""
    found = may(key, *held)
    assert (found.given, found.reason, found.limit) == expected


def test_seats_do_not_multiply_a_plan() -> None:
    """Promise: a plan's limit is the whole plan's, for all its seats; an add-on's counts once for each."""
    assert may("calls", Supply("plan", "pro", NOW, 5)).limit == 100


@pytest.mark.parametrize(
    ("key", "held", "until"),
    [
        ("calls", [PRO], None),
        ("calls", [PRO, GRANT], NOW + DAY),
        ("calls", [GRANT], NOW + DAY),
        ("calls", [ALL, GRANT], None),
        ("export", [PRO, GRANT], None),
        ("login", [GRANT], NOW + DAY),
        ("export", [GRANT], NOW + DAY),
    ],
)
def test_until_is_when_the_clock_alone_changes_it(key: str, held: list[Supply], until: int | None) -> None:
    """Promise: `until` is the second at which allowed, reason or limit is another; what does not matter gives none."""
    assert changes_at(key, held, book(), NOW) == until


def test_an_end_that_has_come_gives_nothing() -> None:
    """Promise: what ended by the clock gives nothing, though nobody has looked again."""
    assert may("calls", GRANT, now=NOW + DAY).reason == "free"


def test_the_window_is_the_oldest_plans() -> None:
    """Promise: an add-on that is older than the plan does not move the plan's months; a second plan does not either."""
    newer = Supply("plan", "one", NOW)
    for held in ([PRO, PACK], [PACK, PRO], [newer, PRO]):
        assert may("calls", *held).window.start == PRO.starts
    period = Period(start=NOW - 40 * DAY, end=NOW + 300 * DAY, interval="year")
    yearly = Supply("plan", "one", NOW - 40 * DAY, period=period)
    assert may("calls", yearly, rule=Feature(reset="period")).window == Window(NOW - 40 * DAY, NOW + 300 * DAY)


@pytest.mark.parametrize(
    ("over", "used", "amount", "allowed", "reason", "after", "left"),
    [
        ("refuse", 0, 1, True, "plan", 1, 99),
        ("refuse", 99, 1, True, "plan", 100, 0),
        ("refuse", 100, 1, False, "limit_reached", 100, 0),
        ("refuse", 99, 2, False, "limit_reached", 99, 1),
        ("refuse", 150, 1, False, "limit_reached", 150, 0),
        ("allow", 100, 1, True, "plan", 101, 0),
        ("refuse", 5, -5, True, "plan", 0, 100),
        ("refuse", 150, -10, True, "plan", 140, 0),
        ("refuse", 5, -6, False, "limit_reached", 5, 95),
    ],
)
def test_a_count_is_whole_or_nothing(
    over: Over, used: int, amount: int, allowed: bool, reason: str, after: int, left: int
) -> None:
    """Promise: the limit is not passed by one, a downgrade below what is used takes nothing back and leaves 0."""
    answered, counter = count(may("calls", PRO, rule=Feature(over=over)), Counter(used=used), amount)
    assert (answered.allowed, answered.reason, answered.used, answered.remaining) == (allowed, reason, after, left)
    assert counter.used == after


def test_denied_is_never_counted() -> None:
    """Promise: a feature that is not held is denied whatever `over` says, with its own reason."""
    for held, reason in (([PRO], "not_in_plan"), ([], "no_access")):
        answered, counter = count(may("sso", *held, rule=Feature(over="allow")), Counter(), 1)
        assert (answered.allowed, answered.reason, counter.used) == (False, reason, 0)


def test_no_limit_has_no_remainder() -> None:
    """Promise: `unlimited` is counted, and nothing is said to remain of it."""
    answered, _ = count(may("calls", ALL), Counter(used=10**12), 1)
    assert (answered.allowed, answered.used, answered.remaining) == (True, 10**12 + 1, None)


@pytest.mark.parametrize(
    ("shares", "steps", "told"),
    [
        ((0.8, 1.0), [79, 1, 19, 1], ["", "limit.alert", "", "limit.reached"]),
        ((0.8, 1.0), [100], ["limit.alert limit.reached"]),
        ((), [99, 1], ["", "limit.reached"]),
        ((0.5,), [50, -10, 10], ["limit.alert", "", ""]),
        ((0.1,), [9, 1], ["", "limit.alert"]),
        ((0.5, 1.5), [100, 50], ["limit.alert limit.reached", "limit.alert"]),
    ],
)
def test_each_share_is_told_once(shares: tuple[float, ...], steps: list[int], told: list[str]) -> None:
    """Promise: an alert comes at the count that passes it, once a window, though a correction goes back below it."""
    ruled = Feature(over="allow", alerts=shares)
    given_, counter, heard = may("calls", PRO, rule=ruled), Counter(), list[str]()
    for step in steps:
        _, counter = count(given_, counter, step)
        found, counter = alerts(ruled, given_, counter)
        heard.append(" ".join(alert.type for alert in found))
    assert heard == told


def test_the_first_refusal_reaches_the_limit() -> None:
    """Promise: an amount that does not fit is `limit.reached`, once; a new limit in the same window begins anew."""
    ruled, small = Feature(alerts=(0.8,)), may("calls", PRO)
    first, counter = alerts(ruled, small, Counter(used=60), refused=True)
    again, counter = alerts(ruled, small, counter, refused=True)
    assert ([alert.type for alert in first], again) == (["limit.reached"], [])
    more, _ = alerts(ruled, may("calls", PRO, PACK), counter, refused=True)
    assert [alert.type for alert in more] == ["limit.reached"]


def test_what_would_not_fit() -> None:
    """Promise: at the next period only what never resets conflicts; at once all that is refused beyond a limit."""
    rules = book(projects=Feature(reset="never"), tokens=Feature(over="allow"))
    used = {"calls": 60, "projects": 7, "tokens": 10**9}
    less = [Supply("plan", "less", NOW)]
    assert conflicts(less, used, rules, NOW, resets=False) == [("calls", 50, 60), ("projects", 3, 7)]
    assert conflicts(less, used, rules, NOW, resets=True) == [("projects", 3, 7)]


@pytest.mark.parametrize(
    ("key", "taken", "plans"),
    [
        ("export", 0, ["pro"]),
        ("calls", 0, ["pro", "pack", "seven", "all", "one", "less"]),
        ("calls", 60, ["pro", "all"]),
        ("calls", 10**9, ["all"]),
        ("login", 0, []),
    ],
)
def test_which_plans_would_allow_it(key: str, taken: int, plans: list[str]) -> None:
    """Promise: who is denied is told which plans on sale would allow one more use."""
    assert plans_giving(key, taken, book()) == plans


def test_every_feature_is_listed_once() -> None:
    """Promise: what any plan names is listed, so that a denial can be told from a misspelled name."""
    assert known_features(book()) == ["calls", "export", "login"]


OVERS: st.SearchStrategy[Over] = st.sampled_from(["refuse", "allow"])
PLAN_NAMES = st.sampled_from(sorted(PLANS))
SUPPLIES = st.builds(
    Supply,
    kind=st.sampled_from(["plan", "addon", "grant"]),
    plan=PLAN_NAMES,
    starts=st.integers(NOW - 900 * DAY, NOW),
    quantity=st.integers(1, 4),
    until=st.none() | st.integers(NOW - 2, NOW + 40 * DAY),
)


@given(held=st.lists(SUPPLIES, max_size=4), more=SUPPLIES, later=st.integers(0, 80 * DAY))
def test_more_never_gives_less(held: list[Supply], more: Supply, later: int) -> None:
    """Promise: holding more never takes away, and `until` is exactly the next change by the clock."""

    def much(found: Allowance) -> float:
        return -1 if not found.given else float("inf") if found.limit is None else found.limit

    def said(found: Allowance) -> tuple[bool, str, int | None]:
        return found.given, found.reason, found.limit

    before = may("calls", *held)
    if before.reason != "free":
        assert much(may("calls", *held, more)) >= much(before)
    until = changes_at("calls", held, book(), NOW)
    assert said(may("calls", *held, now=NOW + later)) == said(before) or (until is not None and until <= NOW + later)
    assert until is None or said(may("calls", *held, now=until)) != said(before)


class Counting(RuleBasedStateMachine):
    """Counts, holds, settlements, plan changes: beside them the plainest bookkeeping there is."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.held: list[Supply] = []
        self.used, self.holds = 0, list[int]()
        self.over: Over = "refuse"

    @initialize(held=st.lists(SUPPLIES, max_size=3), over=OVERS)
    def start(self, held: list[Supply], over: Over) -> None:
        self.held, self.over = held, over

    @property
    def given(self) -> Allowance:
        return may("calls", *self.held, rule=Feature(over=self.over))

    @rule(amount=st.integers(1, 30))
    def use(self, amount: int) -> None:
        room = remaining(self.given, self.counter)
        answered, self.counter = count(self.given, self.counter, amount)
        fits = self.given.given and (room is None or self.over == "allow" or amount <= room)
        assert answered.allowed == fits
        self.used += amount * answered.allowed

    @rule(amount=st.integers(1, 30))
    def correct(self, amount: int) -> None:
        answered, self.counter = count(self.given, self.counter, -amount)
        self.used -= amount * answered.allowed

    @rule(amount=st.integers(1, 30))
    def set_aside(self, amount: int) -> None:
        answered, self.counter = reserve(self.given, self.counter, amount, NOW + 60)
        if answered.allowed:
            self.holds.append(amount)

    @precondition(lambda self: bool(self.holds))
    @rule(amount=st.integers(0, 40))
    def settle_one(self, amount: int) -> None:
        held = self.holds[-1]
        answered, self.counter = settle(self.given, self.counter, held, amount)
        assert answered.allowed or amount > held
        if answered.allowed:
            self.holds.pop()
            self.used += amount

    @rule(held=st.lists(SUPPLIES, max_size=3))
    def change(self, held: list[Supply]) -> None:
        self.held = held

    @invariant()
    def adds_up(self) -> None:
        assert (self.counter.used, self.counter.reserved) == (self.used, sum(self.holds))
        assert self.counter.used >= 0
        left = remaining(self.given, self.counter)
        assert left is None or left >= 0


class TestCounting(Counting.TestCase):
    """Promise: used and reserved are exactly what was allowed, whatever is counted, held, settled or changed."""


def test_holds_are_part_of_what_is_taken() -> None:
    """Promise: what is held is taken; settled with less, the rest comes back; with more, it must fit."""
    given_ = may("calls", PRO)
    answered, counter = reserve(given_, Counter(used=40), 50, NOW + 60)
    assert (answered.allowed, answered.remaining) == (True, 10)
    assert not count(given_, counter, 11)[0].allowed
    assert not settle(given_, counter, 50, 61)[0].allowed
    _, earlier = reserve(given_, counter, 1, NOW + 30)
    assert (counter.holds_until, earlier.holds_until) == (NOW + 60, NOW + 30)
    answered, counter = settle(given_, counter, 50, 20)
    assert (answered.used, answered.remaining, counter.reserved) == (60, 40, 0)
