"""What the passing of time does: rules, each with when and what.

When a rule is due follows from the object alone, so a change of the object changes its timers and
nothing has to be cancelled. The rules themselves stand beside the objects; `routes.RULES` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger


class Rule(NamedTuple):
    """`act` is due at `when(…)`, if that is a time, while the object's status is one of `statuses`.

    An object without a status has the status None.
    """

    name: str
    statuses: frozenset[str | None]
    when: Callable[[Ledger, Obj], int | None]
    act: Callable[[Ledger, Obj], None]


class Due(NamedTuple):
    """The next thing that time will do to an object."""

    at: int
    rule: Rule


def one(status: str | None) -> frozenset[str | None]:
    """The one status in which a rule holds."""
    return frozenset({status})


def next_due(rules: Sequence[Rule], w: Ledger, obj: Obj) -> Due | None:
    """The earliest of an object's rules; among equals the first."""
    best: Due | None = None
    for rule in rules:
        if obj.get("status") in rule.statuses:
            at = rule.when(w, obj)
            if at is not None and (best is None or at < best.at):
                best = Due(at, rule)
    return best
