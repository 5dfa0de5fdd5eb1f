"""The known weaker rules of weighing, each put in place of the engine's own for the length of a block."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

import pytest
from msgspec.structs import replace

from interlock.engine.core import guards, machine
from interlock.engine.core.guards import Guard
from interlock.engine.core.states import Decision, Evidence, Facts, Kind, Outcome, Subscription
from interlock.engine.core.table import TRANSITIONS

Neighbour = Callable[[pytest.MonkeyPatch], None]


def _with_proof(patch: pytest.MonkeyPatch, proof: Guard) -> None:
    """Compile the machine of the same table with another proof in place of `proven_next`."""
    rows = tuple(
        replace(row, guards=tuple(proof if guard is guards.proven_next else guard for guard in row.guards))
        for row in TRANSITIONS
    )
    inside = cast("Any", machine)
    patch.setattr(machine, "TRANSITIONS", rows)
    compiled, ways = inside._compile()
    patch.setattr(machine, "_MACHINE", compiled)
    patch.setattr(machine, "_WAYS", ways)


def _proof(holds: Callable[[Subscription, Evidence], bool]) -> Neighbour:
    def proven_next(known: Subscription, evidence: Evidence, _facts: Facts) -> bool:
        return evidence.kind is Kind.ANSWER or holds(known, evidence)

    return lambda patch: _with_proof(patch, proven_next)


def _newest(newer: Callable[[Subscription, Evidence], bool]) -> Neighbour:
    """What is newer is applied, and what is older is dropped: nobody is asked about it."""
    ask = cast("Any", machine)._ask

    def dropped(known: Subscription, evidence: Evidence, guard: str | None) -> Decision:
        if evidence.kind is Kind.SNAPSHOT and not newer(known, evidence):
            return Decision(outcome=Outcome.STALE, before=known.state, after=known)
        return ask(known, evidence, guard)

    def put_in_place(patch: pytest.MonkeyPatch) -> None:
        _proof(newer)(patch)
        patch.setattr(machine, "_ask", dropped)

    return put_in_place


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    def nothing_arrived_since(_known: Subscription, _evidence: Evidence, _facts: Facts) -> bool:
        return True

    patch.setattr(guards, "nothing_arrived_since", nothing_arrived_since)


def _deaf_to(way: str) -> Neighbour:
    """One way through `decide` forgets to count what it heard."""
    through: Callable[..., Decision] = getattr(machine, way)

    def uncounted(known: Subscription, *heard: object) -> Decision:
        decision = through(known, *heard)
        return replace(decision, after=replace(decision.after, evidence=known.evidence))

    return lambda patch: patch.setattr(machine, way, uncounted)


NEIGHBOURS: Final[dict[str, Neighbour]] = {
    "the payload always wins": _proof(lambda known, heard: True),
    "the newest created wins, ties too": _newest(lambda known, heard: heard.created >= known.as_of),
    "the newest created wins": _newest(lambda known, heard: heard.created > known.as_of),
    "the chain without a later created": _proof(lambda known, heard: heard.previous == known.facts),
    "the chain with created not earlier": _proof(
        lambda known, heard: heard.created >= known.as_of and heard.previous == known.facts
    ),
    "a fence that unchanged evidence passes": _deaf_to("_keep"),
    "a fence that pending evidence passes": _deaf_to("_ask"),
    "no fence": _no_fence,
}


@contextmanager
def in_place(neighbour: Neighbour) -> Generator[None]:
    """Put a weaker rule in place."""
    with pytest.MonkeyPatch.context() as patch:
        neighbour(patch)
        yield
