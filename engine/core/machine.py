"""The table, compiled to one machine, and `decide`: the only door through which a state changes.

A webhook is evidence, not an order.  `decide` weighs it against what is known:

1. About an ended subscription: nothing to do, and refused where it would bring it back to life.
2. Stripe's own answer: taken, unless something arrived while it was under way.
3. It says what is known: unchanged.
4. Proven to be the very next change, or the first sight, or an end: applied at once.
5. Anything else may be late, or may have a gap before it: pending, and Stripe is asked.

Every way through counts as evidence (except the words about an ended one), also where nothing changed:
an answer of Stripe's read before any of it arrived must not overwrite it.
"""

from __future__ import annotations

from typing import cast

import msgspec
from transitions import Event, Machine, Transition

from interlock.engine.core import guards
from interlock.engine.core.states import ENDED, STATUSES, Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from interlock.engine.core.table import TRANSITIONS


class _Attempt:
    """The throw-away model of one firing: where we are, what we heard, which guard refused."""

    __slots__ = ("evidence", "facts", "known", "refused_by", "state")

    def __init__(self, known: Subscription, evidence: Evidence, facts: Facts) -> None:
        self.state = known.state.value
        self.known = known
        self.evidence = evidence
        self.facts = facts
        self.refused_by: str | None = None


class _NotingTransition(Transition):
    """Asks its guards, notes the first that says no, and moves."""

    def attempt(self, attempt: _Attempt) -> bool:
        for condition in self.conditions:
            guard = cast("guards.Guard", condition.func)
            if not guard(attempt.known, attempt.evidence, attempt.facts):
                attempt.refused_by = guard.__name__
                return False
        attempt.state = cast("str", self.dest)
        return True


class _PlainEvent(Event):
    """Fires without what no row of the table has: callbacks, a queue, models that live on."""

    def trigger(self, model: _Attempt) -> bool:
        return any(cast("_NotingTransition", one).attempt(model) for one in self.transitions[model.state])


class _PlainMachine(Machine):
    transition_cls = _NotingTransition
    event_cls = _PlainEvent


def _compile() -> tuple[Machine, dict[tuple[State, State], tuple[tuple[str, str], ...]]]:
    """Build the machine, and for each pair of states the (trigger, machine event) to try, in order.

    `correct` is tried after a direct trigger too: where a guard refuses that one, Stripe's answer still counts.
    """
    machine = _PlainMachine(
        model=None,
        states=[str(s) for s in State],
        initial=State.NONE.value,
        auto_transitions=False,
    )
    ways: dict[tuple[State, State], list[tuple[str, str]]] = {}
    for row in sorted(TRANSITIONS, key=lambda row: row.destination is None):
        elsewhere = [state for state in STATUSES.values() if state is not row.source]
        destinations = elsewhere if row.destination is None else [row.destination]
        for destination in destinations:
            event = row.trigger if row.destination else f"{row.trigger}_{destination}"
            machine.add_transition(event, row.source.value, destination.value, conditions=list(row.guards))
            ways.setdefault((row.source, destination), []).append((row.trigger, event))
    return machine, {pair: tuple(names) for pair, names in ways.items()}


_MACHINE, _WAYS = _compile()


_ANSWERS = frozenset({Kind.ANSWER, Kind.ABSENCE})
_TRIGGERS = {state: frozenset(row.trigger for row in TRANSITIONS if row.source is state) for state in State}


def triggers_from(state: State) -> frozenset[str]:
    """The names of the triggers that the table has for a state."""
    return _TRIGGERS[state]


def decide(known: Subscription, evidence: Evidence, facts: Facts | None) -> Decision:
    """Weigh one piece of evidence about one subscription.

    `facts` is what the evidence says the subscription is now; None for a hint, and for a shape that could not
    be read.  Total: every input has a Decision, and the same input has the same one.
    """
    cut = facts is not None and not guards.items_listed_whole(known, evidence, facts)
    facts = facts.completed_by(known.facts) if facts is not None else None
    if not guards.not_ended(known, evidence, facts):
        return _about_an_ended_one(known, facts)
    asked = evidence.kind in _ANSWERS
    if asked and (facts is None or not guards.nothing_arrived_since(known, evidence, facts)):
        return _ask(known, evidence, guards.nothing_arrived_since.__name__)
    if facts is None:
        if known.state in evidence.consistent_with:
            return _keep(known, evidence, Outcome.UNCHANGED)
        return _ask(known, evidence, None)
    if not guards.status_known(known, evidence, facts):
        return _unknown_status(known, evidence, facts)
    if known.unknown_status is not None and not asked and facts.status not in ENDED:
        return _ask(known, evidence, guards.status_known.__name__)  # it may be older than Stripe's own answer
    if cut:
        return _ask(known, evidence, guards.items_listed_whole.__name__)
    if facts == known.facts:
        return _keep(known, evidence, Outcome.UNCHANGED)
    return _fire(known, evidence, facts)


def vanished(known: Subscription, at: int, evidence_at_ask: int) -> Decision:
    """Decide that Stripe no longer has a subscription: its last facts stay, and it is canceled as of `at`."""
    assert known.facts is not None, "what was never seen can't vanish"
    evidence = Evidence(kind=Kind.ABSENCE, created=at, evidence_at_ask=evidence_at_ask)
    return decide(known, evidence, msgspec.structs.replace(known.facts, status=State.CANCELED.value, ended_at=at))


def _fire(known: Subscription, evidence: Evidence, facts: Facts) -> Decision:
    """Try the table's ways from the known state to the claimed one; ask Stripe when the guards refuse."""
    refused_by = None
    for trigger, event in _WAYS[known.state, STATUSES[facts.status]]:
        attempt = _Attempt(known, evidence, facts)
        if _MACHINE.events[event].trigger(attempt):  # pyright: ignore[reportUnknownMemberType]
            return Decision(
                outcome=Outcome.APPLIED,
                trigger=trigger,
                before=known.state,
                after=_next(known, evidence, facts, State(attempt.state)),
            )
        refused_by = refused_by or attempt.refused_by
    return _ask(known, evidence, refused_by)


def _next(known: Subscription, evidence: Evidence, facts: Facts, state: State) -> Subscription:
    """What is held after a transition; the invariant of the house is asserted, not assumed."""
    assert known.state not in ENDED, "an ended subscription never lives again"
    assert state == facts.status, "the machine's state and Stripe's status are one"
    return msgspec.structs.replace(
        known,
        facts=facts,
        as_of=max(known.as_of, evidence.created),
        evidence=known.evidence + 1,
        since=known.since if state is known.state else evidence.created,
        unknown_status=None,
        missing_since=None,
    )


def _about_an_ended_one(known: Subscription, facts: Facts | None) -> Decision:
    if facts is not None and facts.status != known.state:
        return Decision(outcome=Outcome.REFUSED, guard=guards.not_ended.__name__, before=known.state, after=known)
    outcome = Outcome.UNCHANGED if facts is not None and facts == known.facts else Outcome.STALE
    return Decision(outcome=outcome, before=known.state, after=known)


def _keep(known: Subscription, evidence: Evidence, outcome: Outcome) -> Decision:
    """Nothing moves, and it still counts: a slow answer of Stripe's may not know it."""
    heard_of_it = evidence.kind is not Kind.HINT
    after = msgspec.structs.replace(
        known,
        as_of=max(known.as_of, evidence.created) if heard_of_it else known.as_of,
        evidence=known.evidence + 1,
        unknown_status=None if heard_of_it else known.unknown_status,
        missing_since=None if heard_of_it else known.missing_since,
    )
    return Decision(outcome=outcome, before=known.state, after=after)


def _ask(known: Subscription, evidence: Evidence, guard: str | None) -> Decision:
    after = known if evidence.kind in _ANSWERS else counted(known)
    return Decision(outcome=Outcome.PENDING, guard=guard, before=known.state, after=after)


def _unknown_status(known: Subscription, evidence: Evidence, facts: Facts) -> Decision:
    """A webhook with a new status is asked about; where Stripe says it too, it is kept and nothing is granted."""
    guard = guards.status_known.__name__
    if evidence.kind is not Kind.ANSWER:
        return _ask(known, evidence, guard)
    after = msgspec.structs.replace(counted(known), unknown_status=facts.status)
    outcome = Outcome.UNCHANGED if known.unknown_status == facts.status else Outcome.REFUSED  # a sweep says it again
    return Decision(outcome=outcome, guard=guard, before=known.state, after=after)


def counted(known: Subscription) -> Subscription:
    """Count a word about a subscription, whatever it said: an answer of Stripe's that is under way is older."""
    return msgspec.structs.replace(known, evidence=known.evidence + 1)
