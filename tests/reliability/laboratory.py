"""The engine's units of work as a function of what is stored: each is run once for each distinct content.

`take`, `claim` and `take_answer` are the engine's own, run on a real SQLite; what they do to what is stored is
remembered.  Two contents that differ only in the size of the count of evidence are one: it is only ever compared
for equality, and it never falls (asserted).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final, NamedTuple

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import ENDED, Outcome
from interlock.engine.flow.asker import LEASE_MS, claim
from interlock.engine.flow.runner import whole
from interlock.engine.store import Work
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import Reading, take, take_answer
from interlock.engine.wire import events as webhooks
from interlock.engine.wire.events import Event
from tests.reliability.bodies import Obj
from tests.reliability.lite import connect, drive

NOW: Final = 1_790_000_000
EVIDENCE: Final = 1000
SUB: Final = "sub_1"
LATER: Final = NOW * 1000 + 60_000
ABSENT, WAITING, DECIDED = 0, 1, 2
FREE, LEASED = 0, 1


class Stored(NamedTuple):
    """What the database holds: the subscription's row, each change's event objects, the bills, the question."""

    row: tuple[str | int | bytes | None, ...] | None
    events: tuple[tuple[int, ...], ...]
    bills: tuple[tuple[str | int | None, ...], ...]
    question: int | None


class Result(NamedTuple):
    """What a step made of it."""

    stored: int
    outcome: Outcome | None
    heard: bool


class Fault(Exception):
    """A promise does not hold."""


class Story(NamedTuple):
    """One history of Stripe's: each change's event objects and what a reader would get after it, by date.

    `alike`: a change's event objects differ in nothing but their id.  `owed` is what the bills must say at the end.
    """

    name: str
    events: tuple[tuple[bytes, ...], ...]
    answers: tuple[Obj, ...]
    times: tuple[int, ...]
    alike: bool = True
    all_delivered: bool = False
    owed: int | None = None


class Laboratory:
    """Runs units of work on contents of a database, and remembers what came of each.

    A unit is given the events that its statements can see: an answer those that wait, a delivery none but its own
    (`take` is checked not to look for others).
    """

    def __init__(self) -> None:
        self._connection = connect()
        self._stored: list[Stored] = []
        self._numbers: dict[Stored, int] = {}
        self._done: dict[tuple[Stored, object], tuple[Stored, Outcome, bool]] = {}
        self._events: dict[bytes, Event] = {}

    @property
    def units(self) -> int:
        """How many different units of work were run."""
        return len(self._done)

    def number(self, stored: Stored) -> int:
        """Return the number of a content."""
        known = self._numbers.get(stored)
        if known is None:
            known = self._numbers[stored] = len(self._stored)
            self._stored.append(stored)
        return known

    def content(self, number: int) -> Stored:
        """Return the content of a number."""
        return self._stored[number]

    def take(self, number: int, body: bytes, alike: bool) -> Result:
        """Deliver an event."""
        if body not in self._events:
            self._events[body] = webhooks.read(body)
        event = self._events[body]
        return self._step(
            number, body, lambda: _alone(_whole(lambda unit: take(event, body, unit))), alike, seen=DECIDED + 1
        )

    def claim(self, number: int, alike: bool) -> Result:
        """Lease the question."""
        return self._step(number, "claim", _claim, alike, seen=DECIDED + 1)

    def answer(self, number: int, reading: Reading, alike: bool) -> Result:
        """Commit an answer of Stripe's."""
        return self._step(number, reading, lambda: _whole(lambda unit: take_answer(reading, unit)), alike, seen=WAITING)

    def question(self, number: int, question: int | None) -> int:
        """Return the content with another state of its question."""
        return self.number(self._stored[number]._replace(question=question))

    def _step(self, number: int, what: object, work: Callable[[], Work[Outcome]], alike: bool, *, seen: int) -> Result:
        stored = self._stored[number]
        events = tuple(tuple(status if status == seen else ABSENT for status in each) for each in stored.events)
        visible = stored._replace(events=events)
        done = self._done.get((visible, what))
        if done is None:
            done = self._done[visible, what] = self._run(visible, work())
        after, outcome, heard = done
        merged: list[tuple[int, ...]] = []
        for was, now in zip(stored.events, after.events, strict=True):
            objects = [new or old for old, new in zip(was, now, strict=True)]
            merged.append(tuple(sorted(objects, reverse=True) if alike else objects))
        return Result(self.number(after._replace(events=tuple(merged))), outcome, heard)

    def _run(self, stored: Stored, work: Work[Outcome]) -> tuple[Stored, Outcome, bool]:
        self._connection.execute("BEGIN")
        try:
            self._write(stored)
            outcome = drive(self._connection, work)
            after, heard = self._read(stored)
            self._check_ledger(stored, after)
        finally:
            self._connection.execute("ROLLBACK")
        return after, outcome, heard

    def _write(self, stored: Stored) -> None:
        run = self._connection.execute
        if stored.row is not None:
            row = (SUB, EVIDENCE, 0, *stored.row)
            run(f"INSERT INTO subscription (subscription_id, evidence, since, {_COLUMNS}) VALUES ({_marks(row)})", row)
        for change, objects in enumerate(stored.events):
            for twin, status in enumerate(objects):
                if status:
                    outcome = "pending" if status == WAITING else "stale"
                    row = (event_id(change, twin), "", "t", change, NOW, SUB, None, outcome, None)
                    run(f"INSERT INTO event VALUES ({_marks(row)})", row)
        for bill in stored.bills:
            run(f"INSERT INTO bill VALUES ({_marks(bill)})", bill)
        if stored.question is not None:
            lease = LATER + LEASE_MS if stored.question == LEASED else 0
            queued = ("question", SUB, NOW * 1000, lease, 1)
            run("INSERT INTO queue (kind, key, due_at, lease_until, attempts) VALUES (?, ?, ?, ?, ?)", queued)

    def _read(self, before: Stored) -> tuple[Stored, bool]:
        run = self._connection.execute
        rows = run(f"SELECT evidence, {_COLUMNS} FROM subscription").fetchall()
        evidence, *row = rows[0] if rows else (EVIDENCE,)
        if before.row is not None and evidence < EVIDENCE:
            raise Fault("the count of evidence fell")
        outcomes = dict(run("SELECT event_id, outcome FROM event"))
        events = tuple(
            tuple(_status(outcomes.get(event_id(change, twin))) for twin in range(len(objects)))
            for change, objects in enumerate(before.events)
        )
        bills = tuple(run("SELECT * FROM bill ORDER BY invoice_id"))
        questions = run("SELECT lease_until FROM queue").fetchall()
        question = (LEASED if questions[0][0] > LATER else FREE) if questions else None
        return Stored(tuple(row) if rows else None, events, bills, question), before.row is None or evidence > EVIDENCE

    def _check_ledger(self, before: Stored, after: Stored) -> None:
        """Only what just came, or waited, is decided; ended stays so; whatever waits is being asked about."""
        pairs = zip(itertools.chain(*before.events), itertools.chain(*after.events), strict=True)
        changed = sum(was != now for was, now in pairs)
        query = (
            "SELECT event_id, count(*), sum(outcome = 'applied') FROM decision WHERE event_id IS NOT NULL GROUP BY 1"
        )
        decided = self._connection.execute(query).fetchall()
        if any(entries > 1 or applied > 1 for _, entries, applied in decided) or len(decided) > changed:
            raise Fault(f"decided again: {decided}")
        if before.row is not None and before.row[2] in ENDED and (after.row is None or after.row[2] != before.row[2]):
            raise Fault("an ended subscription lives")
        if after.question is None and any(WAITING in objects for objects in after.events):
            raise Fault("an event waits and nobody will ask")


_COLUMNS: Final = (
    "customer_id, user_id, state, as_of, unpaid_since, unknown_status, facts, billing, missing_since, unknown_prices"
)
_CATALOGUE: Final = Catalogue()


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


def _whole(work: Callable[[Unit], Work[Outcome]]) -> Work[Outcome]:
    unit = Unit(now=NOW, catalogue=_CATALOGUE, livemode=False)
    return whole(unit, work(unit))


def event_id(change: int, twin: int) -> str:
    """Return the id of a change's event object."""
    return f"evt_{change}_{twin}"


def _status(outcome: str | None) -> int:
    return ABSENT if outcome is None else WAITING if outcome == "pending" else DECIDED


def _alone(work: Work[Outcome]) -> Work[Outcome]:
    """Pass a delivery's statements on; none may look at other events."""
    statement, arguments = next(work)
    try:
        while True:
            others = statement.name in ("event_pending_of", "event_outcome")
            assert not others, f"take must not look at other events: {statement.name}"
            statement, arguments = work.send((yield statement, arguments))
    except StopIteration as end:
        return end.value


def _claim() -> Work[Outcome]:
    questions = yield from claim(LATER, 1)
    assert [(question.subscription_id, question.evidence) for question in questions] == [(SUB, EVIDENCE)]
    return Outcome.PENDING
