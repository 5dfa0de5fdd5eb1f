"""Every cell that `decide` can meet: what is known × what is heard × how they relate.

The axes are the questions that `decide` and its guards ask, each answered every way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from interlock.engine.core.states import STATUSES, Evidence, Facts, Item, Kind, State, Subscription

NOW: Final = 1_780_000_000
AS_OF: Final = NOW - 100
UNKNOWN_STATUS: Final = "hibernating"

CLAIMED: Final = (*STATUSES, UNKNOWN_STATUS, None)
"""What the evidence says the status is; None: it says nothing of it."""
CREATED: Final = (AS_OF - 1, AS_OF, AS_OF + 1)
PREVIOUS: Final = ("absent", "matches", "differs")
FENCES: Final = ("absent", "moved", "equal")
TRIALS: Final = (None, AS_OF - 10, NOW + 1000)
EXPECTS: Final = ("nothing", "the known state", "another state")
FLAGS: Final = (False, True)

Cell = tuple[Subscription, Evidence, Facts | None]


def _facts(status: str, *, trial_end: int | None, automatic: bool, quantity: int) -> Facts:
    return Facts(
        subscription_id="sub_1",
        customer_id="cus_1",
        status=status,
        created=NOW - 1000,
        items=(Item("price_pro", quantity),),
        user_id="u_1",
        current_period_end=NOW + 1000,
        trial_end=trial_end,
        charges_automatically=automatic,
    )


def known_in(state: State, *, odd: bool = False, trial_end: int | None = None, automatic: bool = True) -> Subscription:
    """Return what is held in a state; `odd`: Stripe's last answer was a status that nobody knows."""
    facts = None if state is State.NONE else _facts(state, trial_end=trial_end, automatic=automatic, quantity=1)
    return Subscription(
        subscription_id="sub_1",
        facts=facts,
        as_of=0 if facts is None else AS_OF,
        evidence=3,
        since=0 if facts is None else AS_OF - 50,
        unknown_status="frozen" if odd else None,
    )


def _previous(known: Subscription, which: str) -> Facts | None:
    if which == "matches":
        return known.facts
    return None if which == "absent" else _facts("unpaid", trial_end=None, automatic=True, quantity=99)


def cells() -> Iterator[Cell]:
    """Yield every cell once."""
    claims = itertools.product(CLAIMED, TRIALS, FLAGS, FLAGS)
    for status, trial_end, automatic, same_items in claims:
        if status is None and (trial_end, automatic, same_items) != (None, False, False):
            continue  # nothing is claimed, so there is nothing more to vary
        for state, odd in itertools.product(State, FLAGS):
            known = known_in(state, odd=odd, trial_end=trial_end, automatic=automatic)
            facts = None
            if status is not None:
                facts = _facts(status, trial_end=trial_end, automatic=automatic, quantity=1 if same_items else 2)
            for evidence in _evidence(known):
                gone = evidence.kind is Kind.ABSENCE  # it makes a known one canceled, and says nothing else
                if not gone or (status == State.CANCELED and known.facts is not None):
                    yield known, evidence, facts


def _evidence(known: Subscription) -> Iterator[Evidence]:
    another = next(state for state in State if state not in (known.state, State.NONE))
    expects = {
        "nothing": frozenset[State](),
        "the known state": frozenset({known.state}),
        "another state": frozenset({another}),
    }
    fences = {"absent": None, "moved": known.evidence - 1, "equal": known.evidence}
    for created, fence in itertools.product(CREATED, FENCES):
        yield Evidence(kind=Kind.ANSWER, created=created, evidence_at_ask=fences[fence])
        yield Evidence(kind=Kind.ABSENCE, created=created, evidence_at_ask=fences[fence])
    for created, which in itertools.product(CREATED, PREVIOUS):
        yield Evidence(kind=Kind.SNAPSHOT, created=created, previous=_previous(known, which))
    for created, what in itertools.product(CREATED, EXPECTS):
        yield Evidence(kind=Kind.HINT, created=created, consistent_with=expects[what])


def again(cell: Cell) -> Cell:
    """Return an equal cell made of other objects."""
    known, evidence, facts = cell
    return replace(known), replace(evidence), None if facts is None else replace(facts)
