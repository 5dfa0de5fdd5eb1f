"""Every way in which one history of Stripe's can reach us, explored with the engine's real units of work.

A state of the exploration is: how many changes Stripe has made, what our database holds, and which askers are
under way.  From each state every next step is tried:

    Stripe changes · an event object is delivered · an asker claims · it reads Stripe · it commits · it notes that
    it must ask again · it dies · its lease runs out

The steps on our side are the engine's own units of work (`laboratory`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from interlock.engine.core.states import STATUSES, Facts, Outcome
from interlock.engine.flow.answers import reading_of
from interlock.engine.units.evidence import Reading
from interlock.engine.units.records import Question
from interlock.engine.wire import objects as wire
from interlock.engine.wire import reading
from tests.reliability.bodies import Obj
from tests.reliability.laboratory import ABSENT, EVIDENCE, FREE, LEASED, SUB, Fault, Laboratory, Result, Stored, Story

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
        self._facts = [reading.facts_of(body) for body in objects]
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
