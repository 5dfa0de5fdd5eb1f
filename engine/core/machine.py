"""The table, compiled to one machine, and `decide`: the only door through which a state changes.

Theory of operation
===================

Stripe delivers webhooks at least once and in no promised order.  An `updated` event carries the whole subscription as
it was when the event was made, and in `previous_attributes` what was different just before.  So an event is evidence
of a state at a time; it is not an order to move there.  What is known of a subscription is kept with `as_of`, the
latest moment (on Stripe's clock) that the facts are known to describe, and with `evidence`, a count of everything
that has arrived about it.

`decide` compares the evidence with what is known.  The first rule that fits decides:

1. The subscription has ended: nothing changes.  Evidence that would bring it back to life is refused.
2. Stripe was asked and this is its answer: it is taken, unless evidence arrived after the asking began.
3. The evidence says what is known already: unchanged.
4. It is proven: the first sight of a subscription, or its end, or the very next change.  "The very next" means that it
   is later than `as_of` and that what it says was before equals, fact by fact, what is known.  It is applied at once.
5. Anything else may be late, or there may be a gap before it: pending, and Stripe is asked.

Rule 1: every call raises `evidence` by one, even if nothing changes, except one about an ended subscription and an
answer that is not taken.  An answer of Stripe's is committed only while the count stands where it stood when the
asking began, so that an answer which was read before an event arrived can't overwrite what the event said.

Rule 2: a change of state has a row in the table, or it does not happen.  The trigger is the name of a row, found by
the pair (state known, status claimed); it is a result of deciding, not an input.  Where Stripe was asked, its answer
may skip states that no event announced: then the trigger is `correct`; where it has no such subscription, `vanish`.

A late event, step by step
--------------------------

Stripe's side: at 10:00 the subscription is active.  At 10:05 a renewal fails: event A, `past_due`, before: `active`.
At 10:07 the card is charged after all: event B, `active` with the new period, before: `past_due`.  B comes first.

    known               arrives                        rule  outcome    known afterwards
    active, as of 10:00  B: active, was past_due        5    pending    active, as of 10:00, evidence + 1; ask Stripe
    active, as of 10:00  A: past_due, was active        4    applied    past_due, as of 10:05, evidence + 1
    past_due, 10:05      the answer to B: active        2    pending    not taken: A arrived since; ask again
    past_due, 10:05      the next answer: active        2    applied    active, as of the answer's date; B is settled

B was not proven: it says that `past_due` was before it, and `active` was known.  A was proven, though it came late.
The first answer said what is true, and was thrown away all the same: it could have been read before A was made.
Had A come only after the last answer, it would have been older than `as_of`: pending, asked about, and `unchanged`.
Two events of the same second are a tie: the second is not *later* than `as_of`, so it is asked about too.
A COMMIT that fails leaves nothing of all this: the sender is told 503, and Stripe sends the event again.

The `transitions` library holds the compiled table.  Its callbacks, queue and registry of models are not used.
"""

from __future__ import annotations

from typing import cast

import msgspec
from transitions import Event, Machine, Transition

from interlock.engine.core import guards
from interlock.engine.core.states import ENDED, STATUSES, Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from interlock.engine.core.table import TRANSITIONS


class _Attempt:
    """The throw-away model of one firing: the state, the evidence, and which guard refused."""

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
    """Skips the library's callbacks, queue and model registry; the table uses none."""

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
    """No state change; `evidence` still rises, so a read already in flight is not committed."""
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
    """Return the subscription with `evidence` + 1: an answer of Stripe's that is in flight is older."""
    return msgspec.structs.replace(known, evidence=known.evidence + 1)
