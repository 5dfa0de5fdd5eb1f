"""Every way in which one history of Stripe's can reach us, explored with the engine's real units of work.

A state of the exploration is: how many changes Stripe has made, what our database holds, and which askers are
under way.  From each state every next step is tried:

    Stripe changes · an event object is delivered · an asker claims · it reads Stripe · it commits · it notes that
    it must ask again · it dies · its lease runs out

`take`, `claim`, `answer` and `ask_again` are the engine's own, run on a real SQLite; what they do to what is stored
is remembered, so that each is run once for each distinct content of the database.  Two states that differ only in
the size of the count of evidence are one: it is only ever compared for equality, and it never falls (asserted).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

import msgspec

from engine import webhooks, wire
from engine.plans import Catalogue
from engine.rows import Moment
from engine.states import ENDED, STATUSES, Facts, Outcome
from engine.store import Work
from engine.truth import LEASE_MS, Question, claim, reading_of
from engine.webhooks import Event
from engine.work import Reading, answer, take
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
        return self._step(number, body, lambda: _alone(take(event, body, _moment())), alike, seen=DECIDED + 1)

    def claim(self, number: int, alike: bool) -> Result:
        """Lease the question."""
        return self._step(number, "claim", _claim, alike, seen=DECIDED + 1)

    def answer(self, number: int, reading: Reading, alike: bool) -> Result:
        """Commit an answer of Stripe's."""
        return self._step(number, reading, lambda: answer(reading, _moment()), alike, seen=WAITING)

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
            customer, user, state, as_of, unpaid, unknown, facts = stored.row
            row = (SUB, customer, user, state, as_of, EVIDENCE, 0, unpaid, unknown, facts)
            run("INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for change, objects in enumerate(stored.events):
            for twin, status in enumerate(objects):
                if status:
                    outcome = "pending" if status == WAITING else "stale"
                    row = (event_id(change, twin), "t", change, NOW, SUB, None, outcome, None)
                    run("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for bill in stored.bills:
            run("INSERT INTO bill VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", bill)
        if stored.question is not None:
            lease = LATER + LEASE_MS if stored.question == LEASED else 0
            run("INSERT INTO ask VALUES (?, ?, ?, ?)", (SUB, NOW * 1000, lease, 1))

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
        questions = run("SELECT lease_until FROM ask").fetchall()
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


_COLUMNS: Final = "customer_id, user_id, state, as_of, unpaid_since, unknown_status, facts"
_CATALOGUE: Final = Catalogue()


def _moment() -> Moment:
    return Moment(now=NOW, catalogue=_CATALOGUE, livemode=False)


def event_id(change: int, twin: int) -> str:
    """Return the id of a change's event object."""
    return f"evt_{change}_{twin}"


def _status(outcome: str | None) -> int:
    return ABSENT if outcome is None else WAITING if outcome == "pending" else DECIDED


def _alone(work: Work[Outcome]) -> Work[Outcome]:
    """Pass a delivery's statements on; none may look at other events."""
    name, arguments = next(work)
    try:
        while True:
            assert name not in ("event_pending_of", "event_outcome"), f"take must not look at other events: {name}"
            name, arguments = work.send((yield name, arguments))
    except StopIteration as end:
        return end.value


def _claim() -> Work[Outcome]:
    questions = yield from claim(LATER, 1)
    assert [(question.subscription_id, question.evidence) for question in questions] == [(SUB, EVIDENCE)]
    return Outcome.PENDING


CLAIMED, HOLDS, OVERTAKEN = "claimed", "holds an answer", "was overtaken"
Asker: TypeAlias = tuple[str, bool, int]
"""Who asks: how far it is, whether no evidence came since its question, and the number of the answer it holds."""
State: TypeAlias = tuple[int, int, int, tuple[Asker, ...]]
"""Changes made, what is stored, the earliest change whose facts ours can be, and the askers."""


class Exploration:
    """All states that a story leads to."""

    def __init__(self, laboratory: Laboratory, story: Story, askers: int, *, on_demand: bool = False) -> None:
        self._lab = laboratory
        self._story = story
        self._most = askers
        self._on_demand = on_demand
        self._readings: list[Reading] = []
        self._by_change: list[list[int]] = []
        self._delivered: dict[tuple[int, int], list[Result]] = {}
        self._answered: dict[tuple[int, int, bool], Result] = {}
        objects = [wire_of(body) for body in story.answers]
        self._facts = [wire.facts_of(body) for body in objects]
        self._held: dict[int, tuple[int, ...] | None] = {}
        for made, body in enumerate(objects):
            following = story.times[made + 1] if made + 1 < len(story.times) else story.times[made] + 1
            dates = dict.fromkeys((story.times[made], following))
            first = len(self._readings)
            self._by_change.append(list(range(first, first + len(dates))))
            self._readings += [reading_of(body, date, Question(SUB, EVIDENCE, 1), "reconcile") for date in dates]

    def run(self) -> tuple[list[str] | None, int]:
        """Explore; return the way to the first fault, or None, and the number of states."""
        events = tuple((ABSENT,) * len(objects) for objects in self._story.events)
        start: State = (0, self._lab.number(Stored(None, events, (), None)), 0, ())
        parents: dict[State, State | None] = {start: None}
        todo: list[State] = [start]
        while todo:
            state = todo.pop()
            try:
                self._check(state)
                for after in self._steps(state):
                    if after not in parents:
                        parents[after] = state
                        todo.append(after)
            except Fault as fault:
                return [*self._way(parents, state), f"✗ {fault}"], len(parents)
        return None, len(parents)

    def _steps(self, state: State) -> Iterator[State]:
        made, stored, at, askers = state
        question = self._lab.content(stored).question
        if made < len(self._story.events):
            yield made + 1, stored, at, askers
        delivered = self._delivered.get((made, stored))
        if delivered is None:
            delivered = self._delivered[made, stored] = list(self._deliveries(made, stored))
        for result in delivered:
            yield self._after(state, result, askers)
        if question == FREE and len(askers) < self._most:
            claimed = self._lab.claim(stored, self._story.alike).stored
            yield made, claimed, at, _sorted(*askers, (CLAIMED, True, -1))
        if question == LEASED:  # it runs out
            yield made, self._lab.question(stored, FREE), at, askers
        if self._on_demand and len(askers) < self._most and self._lab.content(stored).row is not None:
            yield made, stored, at, _sorted(*askers, (CLAIMED, True, -1))
        for place, asker in enumerate(askers):
            others = askers[:place] + askers[place + 1 :]
            yield made, stored, at, others  # it dies
            yield from self._goes_on(state, asker, others)

    def _deliveries(self, made: int, stored: int) -> Iterator[Result]:
        for change, objects in enumerate(self._lab.content(stored).events[:made]):
            absent = [twin for twin, status in enumerate(objects) if status == ABSENT]
            for twin in absent[:1] if self._story.alike else absent:
                yield self._lab.take(stored, self._story.events[change][twin], self._story.alike)

    def _goes_on(self, state: State, asker: Asker, others: tuple[Asker, ...]) -> Iterator[State]:
        made, stored, at, _ = state
        phase, fresh, number = asker
        if phase == CLAIMED and made:
            for read in self._by_change[made - 1]:
                yield made, stored, at, _sorted(*others, (HOLDS, fresh, read))
        elif phase == HOLDS:
            key = (stored, number, fresh)
            result = self._answered.get(key)
            if result is None:
                result = self._answered[key] = self._answer(*key)
            if result.outcome is Outcome.PENDING:
                others = (*others, (OVERTAKEN, False, -1))
            yield self._after(state, result, _sorted(*others))
        elif phase == OVERTAKEN:
            question = self._lab.content(stored).question
            yield made, stored if question is None else self._lab.question(stored, FREE), at, others

    def _answer(self, stored: int, number: int, fresh: bool) -> Result:
        reading = self._readings[number]
        if not fresh:
            reading = msgspec.structs.replace(reading, evidence_at_ask=EVIDENCE - 1)
        result = self._lab.answer(stored, reading, self._story.alike)
        if fresh and result.outcome is Outcome.PENDING:
            raise Fault("an answer that nothing overtook settles nothing")
        return result

    def _after(self, state: State, done: Result, askers: tuple[Asker, ...]) -> State:
        if done.heard and askers:
            askers = _sorted(*((phase, False, number) for phase, _, number in askers))
        return state[0], done.stored, self._position(state, done.stored), askers

    def _position(self, state: State, stored: int) -> int:
        """Return the earliest change, not before the last one, whose facts are held; else we went back in time."""
        made, before, at, _ = state
        changes = self._changes_held(stored)
        if changes is None or changes == self._changes_held(before):
            return at
        for change in changes:
            if at <= change < made:
                return change
        raise Fault("what is held went back to something older, or was never so")

    def _changes_held(self, stored: int) -> tuple[int, ...] | None:
        """Return the changes whose facts these are; None where none are held."""
        if stored not in self._held:
            facts = _facts_in(self._lab.content(stored))
            same = tuple(change for change, theirs in enumerate(self._facts) if theirs == facts)
            self._held[stored] = None if facts is None else same
        return self._held[stored]

    def _check(self, state: State) -> None:
        """At rest, with everything delivered, what is held is Stripe's last word."""
        made, stored, _, askers = state
        content = self._lab.content(stored)
        if made < len(self._story.events) or askers or content.question is not None:
            return
        enough = all if self._story.all_delivered else any
        if not all(enough(status != ABSENT for status in objects) for objects in content.events):
            return
        truth, held = self._facts[-1], _facts_in(content)
        unknown, unpaid = (content.row[5], content.row[4]) if content.row else (None, None)
        right = held == truth and unknown is None if truth.status in STATUSES else unknown == truth.status
        if not right:
            says = held and held.status
            raise Fault(f"at rest: held {says}, unknown status {unknown}, and Stripe says {truth.status}")
        if self._story.all_delivered and unpaid != self._story.owed:
            raise Fault(f"at rest: owed since {unpaid}, not {self._story.owed}")

    def _way(self, parents: dict[State, State | None], state: State | None) -> list[str]:
        """Return the steps that led to a state, in words."""
        states: list[State] = []
        while state is not None:
            states.append(state)
            state = parents[state]
        return [self._said(state) for state in reversed(states)]

    def _said(self, state: State) -> str:
        made, stored, at, askers = state
        content = self._lab.content(stored)
        facts = _facts_in(content)
        events = " ".join("".join("·?✓"[status] for status in objects) for objects in content.events)
        question = {None: "no question", FREE: "a question", LEASED: "a question, leased"}[content.question]
        under_way = (
            ", ".join(f"one {phase}{'' if fresh else ', overtaken'}" for phase, fresh, _ in askers) or "nobody asks"
        )
        held = f"{facts.status} (change {at})" if facts else "nothing"
        return f"made {made}, events {events}, held {held}, {question}, {under_way}"


def _facts_in(content: Stored) -> Facts | None:
    if content.row is None or not isinstance(content.row[6], bytes):
        return None
    return msgspec.json.decode(content.row[6], type=Facts)


def wire_of(body: Obj) -> wire.Subscription:
    """Read a subscription object as the client reads Stripe's answer."""
    return msgspec.json.decode(msgspec.json.encode(body), type=wire.Subscription)


def _sorted(*askers: Asker) -> tuple[Asker, ...]:
    return tuple(sorted(askers)) if len(askers) > 1 else askers
