"""Runs many units of work side by side in one transaction, so that the database is asked once for all of them.

Each unit is stepped until it needs rows.  What all of them ask then is a `Round`: the driver executes each kind of
statement once, for all who ask it, and deals the rows back; so it goes on until every unit has ended.  A write that
returns nothing is kept until somebody reads its table, and goes there together with the others of its kind.

The result is that of one unit after another, in the order in which they end:

    a thing         is a value that a statement is about: a subscription's id, a user's, an event's.  The unit that
                    first names it holds it until it ends, and any other that names it waits for that.
    `about`         are things that a unit holds from its start, so that it does not begin while another has one of
                    them.  It says whose rows the unit finds by other means than their names: all subscriptions of a
                    customer, for example.
    a circle        (two units, each waiting for what the other holds) raises `NotTogether`, as does a statement that
                    is about nothing in particular.  Then, as after any failure, the driver undoes all, and runs each
                    unit alone.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from interlock.engine.store import Row, Work
from interlock.engine.store.statements import Query, Statement

Arguments: TypeAlias = tuple[Any, ...]
Group: TypeAlias = "tuple[Statement, list[Arguments]]"
Answers: TypeAlias = "list[list[list[Row]]]"
"""For each group of `Round.asked` the rows of each of its arguments, in the same order."""

REFERRED_TO: Final = {"decision": "event", "bill": "subscription", "checkout": "users"}
"""The table that a table's rows refer to: what is kept for the one is written before what is kept for the other."""


class NotTogether(Exception):
    """These units can't run side by side; each may still run alone."""


class Round(NamedTuple):
    """What to execute now: first the writes in `told`, in this order, then what is `asked`."""

    told: list[Group]
    asked: list[Group]


def lockstep(
    units: Sequence[Work[Any]], about: Sequence[Collection[str]], *, holding: bool = True
) -> Generator[Round, Answers, list[Any]]:
    """Step through the units, which are `about` these things; return their results, in the same order.

    Without `holding` nobody waits for another: for units that only read.  What a unit raises is raised here.
    """
    batch = _Batch(units, about, holding and len(units) > 1)
    batch.start()
    while batch.running:
        batch.deal((yield batch.round()))
    if rest := batch.rest():
        yield Round(rest, [])
    return batch.results


@cache
def _tables(statement: Statement) -> frozenset[str]:
    """All tables that a statement reads or writes."""
    first = _tables(statement.lock_first) if statement.lock_first else frozenset[str]()
    return first.union(statement.reads, (statement.writes,) if statement.writes else ())


class _Batch:
    """The units that run together: what each waits for, who holds what, and the writes that are kept."""

    def __init__(self, units: Sequence[Work[Any]], about: Sequence[Collection[str]], holding: bool) -> None:
        self.results: list[Any] = [None] * len(units)
        self.running = len(units)
        self._units = units
        self._about = about
        self._holding = holding
        self._holder: dict[str, int] = {}
        self._holds: list[list[str]] = [[] for _ in units]
        self._waiting: dict[str, list[int]] = {}
        self._wanted: dict[int, Query] = {}
        self._asked: dict[Statement, list[tuple[Arguments, int]]] = {}
        self._dealt: list[list[tuple[Arguments, int]]] = []
        self._kept: dict[str, dict[Statement, list[Arguments]]] = {}
        self._kept_rows: dict[str, set[Any]] = {}

    def start(self) -> None:
        for number in range(len(self._units)):
            self._begin(number)

    def round(self) -> Round:
        """Gather what all who wait for rows have asked; raise NotTogether where all wait for each other."""
        if not self._asked:
            raise NotTogether("a circle")
        asked, self._asked = self._asked, {}
        touched = frozenset[str]().union(*map(_tables, asked))
        groups: list[Group] = []
        for statement, entries in asked.items():
            if len(entries) > 1 and statement.thing_at >= 0:  # in one order, whoever else locks the same rows
                place = statement.thing_at
                entries.sort(key=lambda entry: entry[0][place] or "")
            groups.append((statement, [arguments for arguments, _ in entries]))
        self._dealt = list(asked.values())
        return Round(self._kept_for(touched), groups)

    def deal(self, answers: Answers) -> None:
        """Give each unit its rows, and let it go on until it needs more."""
        dealt, self._dealt = self._dealt, []
        for entries, answer in zip(dealt, answers, strict=True):
            for (_, number), rows in zip(entries, answer, strict=True):
                self._go_on(number, rows)

    def rest(self) -> list[Group]:
        """Take every write that is still kept."""
        return self._kept_for(self._kept.keys())

    def _begin(self, number: int) -> None:
        if self._holding:
            for thing in self._about[number]:
                if self._holder.get(thing, number) != number:
                    self._waiting.setdefault(thing, []).append(number)
                    return
            for thing in self._about[number]:
                self._hold(number, thing)
        self._go_on(number, None)

    def _go_on(self, number: int, rows: list[Row] | None) -> None:
        unit = self._units[number]
        try:
            query = unit.send(rows)  # pyright: ignore[reportArgumentType] - None starts it
            while self._take(number, query):
                query = unit.send([])
        except StopIteration as end:
            self.results[number] = end.value
            self.running -= 1
            self._end(number)

    def _take(self, number: int, query: Query) -> bool:
        """Take what a unit asks; returns whether it may go on at once, with no rows."""
        statement, arguments = query
        thing = arguments[statement.thing_at] if statement.thing_at >= 0 else None
        if self._holding:
            if thing is None:
                if statement.thing_at < 0 and not statement.may_wait:
                    raise NotTogether(f"{statement.name} is about nothing in particular")
            elif self._holder.get(thing, number) != number:
                self._waiting.setdefault(thing, []).append(number)
                self._wanted[number] = query
                return False
            else:
                self._hold(number, thing)
        if statement.may_wait and self._keep(statement, arguments, thing):
            return True
        self._asked.setdefault(statement, []).append((arguments, number))
        return False

    def _hold(self, number: int, thing: str) -> None:
        if thing not in self._holder:
            self._holder[thing] = number
            self._holds[number].append(thing)

    def _end(self, number: int) -> None:
        """Let go of what an ended unit held, and let those go on who waited for it."""
        waiting: list[int] = []
        for thing in self._holds[number]:
            del self._holder[thing]
            waiting += self._waiting.pop(thing, ())
        for other in sorted(waiting):
            query = self._wanted.pop(other, None)
            if query is None:
                self._begin(other)
            elif self._take(other, query):
                self._go_on(other, [])

    def _keep(self, statement: Statement, arguments: Arguments, thing: Any) -> bool:
        """Keep a write, unless one is kept for the same row already: of two in one statement, only one would count."""
        table = statement.writes or ""
        if thing is not None:
            rows = self._kept_rows.setdefault(table, set())
            if thing in rows:
                return False
            rows.add(thing)
        self._kept.setdefault(table, {}).setdefault(statement, []).append(arguments)
        return True

    def _kept_for(self, touched: Iterable[str]) -> list[Group]:
        """Take the writes that are kept for these tables, those of tables that others refer to first."""
        tables = [table for table in touched if table in self._kept]
        tables += [REFERRED_TO[table] for table in tables if REFERRED_TO.get(table) in self._kept]
        groups: list[Group] = []
        for table in sorted({*tables}, key=lambda table: (table in REFERRED_TO, table)):
            self._kept_rows.pop(table, None)
            for statement, many in sorted(self._kept.pop(table).items(), key=lambda item: item[0].name):
                if len(many) > 1 and statement.thing_at >= 0:
                    place = statement.thing_at
                    many.sort(key=lambda arguments: arguments[place])
                groups.append((statement, many))
        return groups
