"""The table, read the way every drawing needs it: arrows, rules, and what each state means for access.

An arrow leads from one state to one other.  A rule is drawn once, in words, and not as an arrow from
everywhere to everywhere: rows that keep the state, rows that lead to what Stripe answered, and rows that no
webhook announces.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from interlock.engine.core import guards
from interlock.engine.core.guards import Guard
from interlock.engine.core.states import ENDED, LIVING, State
from interlock.engine.core.table import TRANSITIONS, Transition

ANYWHERE: Final = "what Stripe answered"
ITSELF: Final = "itself"
ALL_LIVING: Final = "every living state"


class Standing(StrEnum):
    """What a state by itself means for access; the words stand in the picture."""

    GRANTED = "access"
    GRACE = "access for now"
    REFUSED = "no access"
    ENDED = "ended"

    @property
    def css(self) -> str:
        """The class that colours it."""
        return self.name.lower()


_GRANTED: Final = frozenset({State.TRIALING, State.ACTIVE})

MEANING: Final[dict[State, str]] = {
    State.NONE: "No subscription was seen yet; checkout is open.",
    State.INCOMPLETE: "The first payment waits for the customer, 23 hours at most. No access until it is made.",
    State.INCOMPLETE_EXPIRED: "The first payment was never made. Ended for good; checkout is open again.",
    State.TRIALING: "On trial: access until the trial ends.",
    State.ACTIVE: "Paid: access, to that date where it was canceled for later. With collection paused, by plans.toml.",
    State.PAST_DUE: "A payment failed and is retried. Access goes on for the grace days of plans.toml.",
    State.UNPAID: "The retries are over. No access; paying the latest invoice brings it back.",
    State.PAUSED: "Stands still until it is resumed. No access.",
    State.CANCELED: "Ended for good; checkout is open again.",
}


def standing(state: State) -> Standing:
    """What this state means for access before pauses, dates and the clock are looked at."""
    if state in ENDED:
        return Standing.ENDED
    if state is State.PAST_DUE:
        return Standing.GRACE
    return Standing.GRANTED if state in _GRANTED else Standing.REFUSED


class Rule(NamedTuple):
    """One trigger that is said in words: where it fires, and where it leads."""

    trigger: str
    sources: tuple[State, ...]
    destination: str
    guards: tuple[Guard, ...]

    @property
    def scope(self) -> str:
        """The sources in words."""
        return ALL_LIVING if frozenset(self.sources) == LIVING else ", ".join(self.sources)


def _is_arrow(row: Transition) -> bool:
    return row.destination is not None and row.destination is not row.source and bool(row.events)


def _rules(rows: Iterable[Transition]) -> tuple[Rule, ...]:
    grouped: dict[tuple[str, str, tuple[Guard, ...]], list[State]] = {}
    for row in rows:
        destination = ITSELF if row.destination is row.source else row.destination or ANYWHERE
        grouped.setdefault((row.trigger, destination, row.guards), []).append(row.source)
    return tuple(Rule(trigger, tuple(sources), to, asked) for (trigger, to, asked), sources in grouped.items())


def _from_everywhere(rows: Iterable[Transition]) -> frozenset[Transition]:
    """The arrows that every living state has alike: one arrow, from the frame around them, says it."""
    grouped: dict[tuple[str, State | None, tuple[Guard, ...]], list[Transition]] = {}
    for row in rows:
        grouped.setdefault((row.trigger, row.destination, row.guards), []).append(row)
    return frozenset(
        row for alike in grouped.values() if frozenset(row.source for row in alike) == LIVING for row in alike
    )


ARROWS: Final = tuple(row for row in TRANSITIONS if _is_arrow(row))
RULES: Final = _rules(row for row in TRANSITIONS if not _is_arrow(row))
FROM_THE_FRAME: Final = _from_everywhere(ARROWS)


def guard_names(asked: Iterable[Guard]) -> tuple[str, ...]:
    """The guards by the names that an operator reads."""
    return tuple(guard.__name__ for guard in asked)


def rule_between(source: State, destination: State) -> Rule | None:
    """The rule by which Stripe's answer may lead from one state to another that no arrow reaches."""
    away = source is not destination
    return next((rule for rule in RULES if away and rule.destination == ANYWHERE and source in rule.sources), None)


def all_guards() -> tuple[tuple[str, str], ...]:
    """(name, docstring) of every guard there is, in the order of their module."""
    found = [function for _, function in inspect.getmembers(guards, inspect.isfunction)]
    own = sorted((f for f in found if f.__module__ == guards.__name__), key=lambda f: f.__code__.co_firstlineno)
    return tuple((function.__name__, inspect.getdoc(function) or "") for function in own)
