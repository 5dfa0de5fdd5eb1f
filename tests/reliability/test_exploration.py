"""Row 3: any order, duplication, overlap of askers and crash ends in Stripe's truth.

The bound at commit size (on two busy cores a minute is the budget; the full 6 × 2 × 2 of every history has billions
of states).  Times are every way to spread the changes over seconds, ties included; dying askers and leases that run
out are not bounded at all, and a redelivered event is checked apart to do nothing from any content.

    changes  event objects each  askers  what the subscription may be
    1-2      2                   2       active, past due, changed, incomplete, trialing, paused, unknown; ended
    3        1                   2       active, past due, changed, unknown; ended
    3        2                   2       active, past due; ended
    4        1                   2       active, past due; ended
    4        2                   2       A→B→A→B, a tie at either end
    6        1                   1       A→B→A→B→A→B and its ended kin, in no, every and every other tie
    1-2      + an invoice each   2       paid, failed, paid after all, void
    3        + an invoice each   1
    2        2                   2       an operator's questions beside, at any moment

`INTERLOCK_NIGHTLY=1` goes on to 4 × 2 × 2, 5 × 2 × 1, 6 × 1 × 2 and 3 with invoices × 2 askers (hours).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import pytest

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import Outcome
from interlock.engine.flow.runner import whole
from interlock.engine.store import Work
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import take
from interlock.engine.wire import events as webhooks
from tests.kit.scale import NIGHTLY, Figure
from tests.reliability.explore import Exploration
from tests.reliability.histories import histories, seconds, story, with_bills
from tests.reliability.laboratory import NOW, Laboratory, Story
from tests.reliability.lite import commit, connect, table
from tests.reliability.neighbours import NEIGHBOURS, in_place

LONGEST_TIES = ((0, 0, 0, 0, 0, 0), (0, 0, 1, 1, 2, 2), (0, 1, 2, 3, 4, 5))


def _explore(stories: Iterable[Story], askers: int, *, on_demand: bool = False) -> str:
    """Explore each story in a laboratory of their own; fail with the way to the first fault."""
    laboratory, count, states = Laboratory(), 0, 0
    for each in stories:
        way, seen = Exploration(laboratory, each, askers, on_demand=on_demand).run()
        assert way is None, "\n  ".join([f"{each.name} with {askers} askers does not converge:", *way])
        count, states = count + 1, states + seen
    return f"{count} histories, {states} states, {laboratory.units} units of work"


def _chain(*stories: Iterable[Story]) -> Iterable[Story]:
    for each in stories:
        yield from each


def test_one_and_two_changes_converge(figure: Figure) -> None:
    """One or two changes, among all kinds of state, two event objects each, two askers, crashes at any step."""
    found = _explore(_chain(histories(1, "ABITU", "ABITU", 2), histories(2, "ABCITPU", "AITU", 2)), 2)
    figure(3, f"1-2 changes × 2 deliveries × 2 askers: {found}, all converge")


def test_three_changes_converge(figure: Figure) -> None:
    """Three changes there and back, with an unknown status between, two askers."""
    found = _explore(histories(3, "ABCU", "A", 1), 2)
    figure(3, f"3 changes × 1 delivery × 2 askers: {found}, all converge")


def test_three_changes_told_twice_converge(figure: Figure) -> None:
    """Three changes there and back, two event objects each, two askers."""
    found = _explore(histories(3, "AB", "A", 2), 2)
    figure(3, f"3 changes × 2 deliveries × 2 askers: {found}, all converge")


def test_four_changes_converge(figure: Figure) -> None:
    """Four changes, two askers; at night two event objects each."""
    found = _explore(histories(4, "AB", "A", 2 if NIGHTLY else 1), 2)
    figure(3, f"4 changes × {2 if NIGHTLY else 1} delivery × 2 askers: {found}, all converge")


def test_four_changes_told_twice_converge(figure: Figure) -> None:
    """Four changes in two seconds, there and back, two event objects each, two askers."""
    found = _explore([story("ABAB", (0, 0, 1, 1), 2)], 2)
    figure(3, f"4 changes × 2 deliveries × 2 askers: {found}, all converge")


def test_six_changes_converge(figure: Figure) -> None:
    """Six changes there and back, one asker; at night every spread over seconds and two askers."""
    spreads = list(seconds(6)) if NIGHTLY else LONGEST_TIES
    letters = ("ABABAB", "ABABAX", "ABABCX") if NIGHTLY else ("ABABAB", "ABABAX")
    askers = 2 if NIGHTLY else 1
    found = _explore((story(each, times, 1) for each in letters for times in spreads), askers)
    figure(3, f"6 changes × 1 delivery × {askers} asker: {found}, all converge")


def test_invoices_between_converge(figure: Figure) -> None:
    """Invoices tell of the changes too, in any order with them: the state and what is owed since when end right."""
    short = _explore((with_bills(each, times) for each in ("A", "AB", "AX", "TB") for times in seconds(len(each))), 2)
    letters = ("ABA", "ABX", "TAB") if NIGHTLY else ("ABA",)
    spreads = seconds(3) if NIGHTLY else ((0, 0, 1),)
    long = _explore((with_bills(each, times) for times in spreads for each in letters), 2 if NIGHTLY else 1)
    figure(3, f"with invoices: {short}; 3 changes: {long}, all converge")


def test_an_operators_questions_beside_converge(figure: Figure) -> None:
    """`Truth.ask` (reconcile, checkout) takes no lease and may come at any moment beside the asker."""
    found = _explore(_chain(histories(2, "ABU", "A", 2), histories(3, "AB", "A", 1)), 2, on_demand=True)
    figure(3, f"with questions that nobody leased: {found}, all converge")


def test_a_redelivered_event_does_nothing(figure: Figure) -> None:
    """The same event id again, at any later moment, leaves every table as it is."""
    count = 0
    for each in _chain(histories(3, "ABU", "A", 1), [with_bills("ABA", (0, 0, 0))]):
        connection = connect()
        bodies = [body for objects in each.events for body in objects]
        for delivered, body in enumerate(bodies):
            commit(connection, _delivery(body))
            before = _everything(connection)
            for again in bodies[: delivered + 1]:
                assert commit(connection, _delivery(again)) is Outcome.DUPLICATE
                count += 1
            assert _everything(connection) == before
        connection.close()
    figure(3, f"{count} redeliveries changed nothing")


def _delivery(body: bytes) -> Work[Outcome]:
    unit = Unit(now=NOW, catalogue=Catalogue(), livemode=False)
    return whole(unit, take(webhooks.read(body), body, unit))


def _everything(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    names = ("subscription", "event", "decision", "users", "queue", "bill", "customer")
    return [row for name in names for row in table(connection, f"SELECT * FROM {name}")]


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_exploration_finds_a_weaker_rule(name: str) -> None:
    """Each known weaker neighbour of the rule has a diverging history, and the exploration finds it."""
    with in_place(NEIGHBOURS[name]):
        laboratory = Laboratory()
        ways = (
            Exploration(laboratory, each, 2).run()[0]
            for each in _chain(histories(2, "AB", "A", 2), histories(3, "AB", "A", 1), histories(3, "AB", "A", 2))
        )
        way = next((way for way in ways if way is not None), None)
    assert way is not None, f"{name} was not found out"
    assert way[-1].startswith("✗")


def test_a_diverging_way_can_be_read() -> None:
    """The way to a fault is told step by step, from nothing to what went wrong."""
    with in_place(NEIGHBOURS["the chain without a later created"]):
        way, _ = Exploration(Laboratory(), story("ABA", (0, 1, 2), 2), 1).run()
    assert way is not None
    assert way[0] == "made 0, events ·· ·· ··, held nothing, no question, nobody asks"
    assert "Stripe says" in way[-1] or "went back" in way[-1]
