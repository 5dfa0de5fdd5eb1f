"""What the passing of time does: rules, each with when and what.

When a rule is due follows from the object alone, so a change of the object changes its timers and
nothing has to be cancelled. The rules themselves stand beside the objects; `routes.RULES` collects them.
"""

from __future__ import annotations

import heapq
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


class Timers:
    """What is due when: a heap for each test clock, and one (None) for the world's own time.

    An entry says only where to look: whether an object is still due then follows from the object.
    """

    def __init__(self) -> None:
        self._heaps: dict[str | None, list[tuple[int, int, str, str]]] = {}
        self._count = 0

    def add(self, clock: str | None, at: int, kind: str, id_: str) -> None:
        """An object is due at `at`."""
        self._count += 1
        heapq.heappush(self._heaps.setdefault(clock, []), (at, self._count, kind, id_))

    def first(self, clock: str | None) -> tuple[int, str, str] | None:
        """The earliest entry: when, and which object."""
        heap = self._heaps.get(clock)
        return (heap[0][0], heap[0][2], heap[0][3]) if heap else None

    def drop(self, clock: str | None) -> None:
        """Take the earliest entry away."""
        heapq.heappop(self._heaps[clock])
