"""Rows 1 and 2: `decide` is total and deterministic, ended never lives, and nothing but a rule grants access."""

from __future__ import annotations

import inspect
import itertools
from collections import Counter
from typing import Any, cast

from msgspec.structs import replace

from interlock.engine.core import guards, machine
from interlock.engine.core.access import DAY, Access, access
from interlock.engine.core.catalogue import AccessPolicy
from interlock.engine.core.machine import decide
from interlock.engine.core.states import ENDED, LIVING, STATUSES, Decision, Kind, Outcome, State, Subscription
from interlock.engine.core.table import TRANSITIONS
from tests.kit.scale import Figure
from tests.reliability.cells import NOW, Cell, again, cells, known_in

ANSWERS = frozenset({Outcome.APPLIED, Outcome.UNCHANGED, Outcome.STALE, Outcome.REFUSED, Outcome.PENDING})
GUARDS = {
    name for name, member in inspect.getmembers(guards, inspect.isfunction) if member.__module__ == guards.__name__
}
EDGES = {
    (row.trigger, row.source, destination)
    for row in TRANSITIONS
    for destination in ([row.destination] if row.destination else [s for s in LIVING | ENDED if s is not row.source])
}


def _faults(cell: Cell, decision: Decision) -> str | None:
    """Return what the README's rule of weighing forbids about this decision; None where all is well."""
    known, evidence, facts = cell
    after = decision.after
    claims = facts is not None
    asked = evidence.kind in (Kind.ANSWER, Kind.ABSENCE)
    fenced = not asked or evidence.evidence_at_ask == known.evidence
    later = evidence.created > known.as_of and evidence.previous == known.facts
    checks = {
        "an outcome of a decision": decision.outcome in ANSWERS,
        "before is what was known": decision.before is known.state,
        "ended never lives": known.state not in ENDED or after == known,
        "ended is never asked about": known.state not in ENDED or decision.outcome is not Outcome.PENDING,
        "a contradiction of the end is refused": known.state not in ENDED
        or (decision.guard == "not_ended") == (claims and facts.status != known.state),
        "the state is the claimed status": decision.outcome is not Outcome.APPLIED
        or (facts is not None and after.facts == facts and after.state == facts.status),
        "the move is an edge of the table": decision.outcome is not Outcome.APPLIED
        or (decision.trigger, known.state, after.state) in EDGES,
        "only what was applied moves the facts": decision.outcome is Outcome.APPLIED or after.facts == known.facts,
        "as_of never falls": after.as_of >= known.as_of,
        "a living one counts all evidence, but an answer that must be asked again": known.state in ENDED
        or after.evidence == known.evidence + (0 if asked and decision.outcome is Outcome.PENDING else 1),
        "an overtaken answer moves nothing": fenced or known.state in ENDED or after == known,
        "a message moves a known state only if it is proven next, or an end": decision.outcome is not Outcome.APPLIED
        or asked or known.state is State.NONE or later or after.state in ENDED,
        "what is known is unchanged": not (claims and facts == known.facts and fenced)
        or (known.unknown_status is not None and not asked)
        or decision.outcome is Outcome.UNCHANGED,
        "after an unknown status only Stripe's answer or an end counts": known.unknown_status is None
        or asked
        or after.state in ENDED
        or (after.facts == known.facts and after.unknown_status == known.unknown_status),
        "an unknown status is never a state": not claims or facts.status in STATUSES or after.facts == known.facts,
        "Stripe's unknown status is kept, and only its word makes one": after.unknown_status == known.unknown_status
        or after.unknown_status is None
        or (asked and fenced and claims and after.unknown_status == facts.status),
        "a fenced answer settles": not (asked and fenced and claims) or decision.outcome is not Outcome.PENDING,
        "a hint never moves anything": evidence.kind is not Kind.HINT or claims or after.facts == known.facts,
        "a guard that is named exists": decision.guard is None or decision.guard in GUARDS,
    }  # fmt: skip
    return next((name for name, holds in checks.items() if not holds), None)


def test_decide_is_total_and_deterministic(figure: Figure) -> None:
    """Every cell has one decision, the same twice, none breaks the rule of weighing, and every edge fires."""
    count, outcomes = 0, Counter[Outcome]()
    fired: set[tuple[str | None, State, State]] = set()
    for cell in cells():
        decision = decide(*cell)
        assert decision == decide(*again(cell)), cell
        assert (fault := _faults(cell, decision)) is None, f"{fault}: {cell} → {decision}"
        count += 1
        outcomes[decision.outcome] += 1
        if decision.outcome is Outcome.APPLIED:
            fired.add((decision.trigger, decision.before, decision.after.state))
    directly = {(source, destination) for trigger, source, destination in EDGES if trigger not in ("correct", "adopt")}
    covered = {edge for edge in EDGES if edge[0] not in ("correct", "adopt") or edge[1:] not in directly}
    covered = {edge for edge in covered if edge[0] != "vanish"}  # no webhook and no answer with facts in it leads there
    assert covered <= fired, f"never fired: {sorted(covered - fired)}"
    assert fired <= EDGES
    assert {edge[0] for edge in fired} == {row.trigger for row in TRANSITIONS}
    beside = len(EDGES) - len(covered)
    edges = f"all {len(covered)} edges fired ({beside} more of adopt and correct stand beside a direct one)"
    figure(1, f"{count} cells × 2 runs, 100 % decided, {edges}; {_shown(outcomes)}")


def _shown(outcomes: Counter[Outcome]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())


def test_table_holds_its_promises(figure: Figure) -> None:
    """No pair of trigger and source twice, no way out of an ended state, every state is reached, each row says why."""
    pairs = Counter((row.trigger, row.source) for row in TRANSITIONS)
    assert max(pairs.values()) == 1
    assert not [row for row in TRANSITIONS if row.source in ENDED]
    steps = {(row.source, row.destination) for row in TRANSITIONS if row.destination}
    reached = {State.NONE}
    while new := {to for source, to in steps if source in reached} - reached:
        reached |= new
    assert reached == set(State), "without `adopt` and `correct`, by Stripe's own single steps"
    assert all(row.why for row in TRANSITIONS)
    living = {(source, to) for source in (*LIVING, State.NONE) for to in LIVING | ENDED}
    assert {edge[1:] for edge in EDGES} >= living, "every state that Stripe can answer can be taken up"
    figure(1, f"{len(TRANSITIONS)} rows, {len(pairs)} pairs of trigger and source, {len(reached)} states reached")


def test_compiled_machine_is_the_table(figure: Figure) -> None:
    """The machine that runs has exactly the table's edges with exactly its guards, in the order in which they stand."""
    compiled = cast("Any", machine)._MACHINE
    ways: dict[tuple[State, State], tuple[tuple[str, str], ...]] = cast("Any", machine)._WAYS
    rows = {(row.trigger, row.source): row for row in TRANSITIONS}
    edges: set[tuple[str, State, State]] = set()
    for (source, destination), tries in ways.items():
        for trigger, event in tries:
            (transition,) = compiled.events[event].transitions[source.value]
            assert transition.dest == destination.value
            assert [condition.func for condition in transition.conditions] == list(rows[trigger, source].guards)
            edges.add((trigger, source, destination))
    assert edges == EDGES
    transitions = sum(len(way) for event in compiled.events.values() for way in event.transitions.values())
    assert transitions == len(EDGES), "and no edge more"
    figure(1, f"{transitions} compiled edges are the table's")


def _grants(subscription: Subscription, policy: AccessPolicy, now: float) -> bool:
    """The rule of access, said again in one line a rule: what grants, unless something denies."""
    facts = subscription.facts
    if facts is None or subscription.unknown_status is not None:
        return False
    ended = facts.cancel_at is not None and facts.cancel_at <= now
    paused = facts.collection_paused and not (
        facts.collection_resumes_at is not None and facts.collection_resumes_at <= now
    )
    begun = subscription.since if subscription.unpaid_since is None else subscription.unpaid_since
    in_grace = now < begun + policy.past_due_grace_days * DAY
    state = subscription.state
    granted = state in (State.TRIALING, State.ACTIVE) or (state is State.PAST_DUE and in_grace)
    return granted and not ended and not paused


REASONS = {
    True: {"trialing", "paid", "grace_period", "ending"},
    False: {
        "none", "incomplete", "expired", "payment_failed", "unpaid", "paused", "collection_paused", "canceled"
    },
}  # fmt: skip
CLOCKS = sorted({NOW + days * DAY + step for days in (-8, -7, -1, 0, 1, 6, 7, 8, 30) for step in (-1, 0, 1)})
DATES = (None, NOW - DAY, NOW, NOW + DAY)


def _held() -> list[Subscription]:
    """Every state with every date that access reads."""
    found: list[Subscription] = []
    grid = itertools.product(State, (False, True), DATES, (False, True), DATES, DATES)
    for state, odd, cancel_at, paused, resumes_at, unpaid_since in grid:
        known = known_in(state, odd=odd)
        facts = known.facts and replace(
            known.facts,
            cancel_at=cancel_at,
            collection_paused=paused,
            collection_resumes_at=resumes_at if paused else None,
        )
        found.append(replace(known, facts=facts, unpaid_since=unpaid_since, since=NOW - DAY))
    return found


def _check_access(held: Subscription, policy: AccessPolicy, now: float) -> Access:
    answer = access(held, policy, now)
    what = (held, policy, now, answer)
    assert answer.granted == _grants(held, policy, now), what
    assert answer.reason in REASONS[answer.granted], what
    assert answer.until is None or answer.until > now, what
    return answer


def test_no_access_without_a_rule_that_grants_it(figure: Figure) -> None:
    """Over a grid of states, dates, policies and clocks access is what a rule grants, for a reason that fits it.

    And what `until` promises is so: the answer never changes by the clock without having said when.
    """
    count = granted = 0
    for held, days in itertools.product(_held(), (0, 7)):
        policy = AccessPolicy(past_due_grace_days=days)
        answers = [_check_access(held, policy, now) for now in CLOCKS]
        for (now, answer), (later, next_answer) in itertools.pairwise(zip(CLOCKS, answers, strict=True)):
            changed = (answer.granted, answer.reason) != (next_answer.granted, next_answer.reason)
            announced = answer.until is not None and now < answer.until <= later
            assert announced or not changed, (held, policy, now, later, answer, next_answer)
            count, granted = count + 1, granted + answer.granted
    figure(2, f"access: {count} cells of state × dates × policy × clock, {granted} granted, 0 without a rule")


def test_ended_never_lives(figure: Figure) -> None:
    """No cell moves an ended subscription, and no decision grants access to one, whatever the clock says."""
    count = refused = 0
    policy = AccessPolicy(past_due_grace_days=365)
    for cell in cells():
        if cell[0].state not in ENDED:
            continue
        decision = decide(*cell)
        assert decision.after == cell[0], (cell, decision)
        assert decision.outcome in (Outcome.REFUSED, Outcome.STALE, Outcome.UNCHANGED)
        assert not any(access(decision.after, policy, now).granted for now in CLOCKS)
        count, refused = count + 1, refused + (decision.outcome is Outcome.REFUSED)
    figure(2, f"{count} cells about ended subscriptions: 0 live again, {refused} refused by not_ended")
