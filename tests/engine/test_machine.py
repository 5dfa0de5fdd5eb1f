"""`decide`: the weighing rule, each part of it by name, and what holds over every input there is."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.machine import decide, triggers_from, vanished
from interlock.engine.core.states import (
    ENDED,
    LIVING,
    STATUSES,
    Decision,
    Evidence,
    Facts,
    Kind,
    Outcome,
    Phase,
    Schedule,
    State,
    Subscription,
)
from interlock.engine.core.table import TRANSITIONS

NEW_STATUS = "frozen_by_stripe"


def facts(status: str, **changes: object) -> Facts:
    """Facts of one subscription; a running trial where it is trialing."""
    trial = {"trial_end": 9_000} if status == "trialing" else {}
    return Facts(**({"subscription_id": "sub_1", "customer_id": "cus_1", "status": status} | trial | changes))  # pyright: ignore


def known(status: str | None, *, as_of: int = 1_000, evidence: int = 3, **changes: object) -> Subscription:
    held = None if status is None else facts(status)
    return msgspec.structs.replace(
        Subscription(subscription_id="sub_1", facts=held, as_of=as_of, evidence=evidence, since=500), **changes
    )


def snapshot(created: int, previous: Facts | None = None) -> Evidence:
    return Evidence(kind=Kind.SNAPSHOT, created=created, previous=previous)


def stripe_says(created: int = 5_000, evidence_at_ask: int = 3) -> Evidence:
    return Evidence(kind=Kind.ANSWER, created=created, evidence_at_ask=evidence_at_ask)


def hint(*states: State) -> Evidence:
    return Evidence(kind=Kind.HINT, created=2_000, consistent_with=frozenset(states))


def told(decision: Decision) -> tuple[str, str | None, str | None]:
    return decision.outcome.value, decision.trigger, decision.guard


def test_the_proven_next_change_is_applied_at_once() -> None:
    """Later than what is known and starting from exactly that: applied, with no call to Stripe."""
    decision = decide(known("active"), snapshot(1_001, facts("active")), facts("past_due"))
    assert told(decision) == ("applied", "fail_payment", None)
    assert (decision.before, decision.after.state) == (State.ACTIVE, State.PAST_DUE)
    assert (decision.after.as_of, decision.after.since, decision.after.evidence) == (1_001, 1_001, 4)


def test_a_tie_within_a_second_is_asked_about() -> None:
    """Seconds tie at Stripe: the same `created` as what is known proves nothing, whatever the chain says."""
    decision = decide(known("active"), snapshot(1_000, facts("active")), facts("past_due"))
    assert told(decision) == ("pending", None, "proven_next")
    assert decision.after.facts == facts("active")
    assert decision.after.evidence == 4, "an answer that was under way may not know of it"


def test_a_gap_in_the_chain_is_asked_about() -> None:
    """Later, but starting from something that is not known: an event between is missing."""
    decision = decide(known("active"), snapshot(2_000, facts("unpaid")), facts("past_due"))
    assert told(decision) == ("pending", None, "proven_next")


def test_a_change_that_says_nothing_of_before_is_asked_about() -> None:
    """`paused` and `resumed` carry no previous attributes: they prove no chain."""
    assert told(decide(known("active"), snapshot(2_000), facts("paused"))) == ("pending", None, "proven_next")


def test_an_older_change_is_asked_about() -> None:
    """A late event never moves the state back, not even with a chain that fits."""
    decision = decide(known("active"), snapshot(999, facts("active")), facts("past_due"))
    assert told(decision) == ("pending", None, "proven_next")


@pytest.mark.parametrize(
    ("status", "trigger"), [("active", "activate"), ("trialing", "start_trial"), ("incomplete", "await_payment")]
)
def test_the_first_sight_is_applied(status: str, trigger: str) -> None:
    """An id never seen before needs no proof."""
    decision = decide(known(None, as_of=0, evidence=0), snapshot(700), facts(status))
    assert told(decision) == ("applied", trigger, None)
    assert decision.after.since == 700


@pytest.mark.parametrize("status", ["past_due", "unpaid", "paused", "canceled", "incomplete_expired"])
def test_a_first_sight_in_mid_life_is_adopted(status: str) -> None:
    """A subscription that began before Interlock, or whose first events were lost, is taken up where it stands."""
    assert told(decide(known(None, as_of=0), snapshot(700), facts(status))) == ("applied", "adopt", None)


@pytest.mark.parametrize(
    "odd",
    [facts("trialing", trial_end=600), facts("trialing", trial_end=None),
     facts("incomplete", charges_automatically=False)],
)  # fmt: skip
def test_a_refused_guard_at_first_sight_loses_nobody(odd: Facts) -> None:
    """From `none` a guard that says no only turns the trigger into `adopt`."""
    assert told(decide(known(None, as_of=0), snapshot(700), odd)) == ("applied", "adopt", None)


@pytest.mark.parametrize("state", sorted(LIVING))
def test_cancel_needs_no_order(state: State) -> None:
    """The end is the end, however late or early its event comes: applied from every living state."""
    decision = decide(known(state), snapshot(1), facts("canceled"))
    assert told(decision) == ("applied", "cancel", None)
    assert decision.after.as_of == 1_000


@pytest.mark.parametrize(("end", "claim"), list(itertools.product(sorted(ENDED), sorted(STATUSES))))
def test_an_ended_one_never_lives_again(end: State, claim: str) -> None:
    """Words that would bring it back are refused by `not_ended`, from webhooks and from Stripe alike."""
    for evidence in (snapshot(9_999, facts(end)), stripe_says()):
        decision = decide(known(end), evidence, facts(claim))
        assert decision.after == known(end)
        expected = ("unchanged", None, None) if claim == end else ("refused", None, "not_ended")
        assert told(decision) == expected


@pytest.mark.parametrize("end", sorted(ENDED))
def test_words_about_an_ended_one_are_stale(end: State) -> None:
    """An invoice, a checkout or other facts of an ended one: nothing to do."""
    assert told(decide(known(end), hint(), None)) == ("stale", None, None)
    assert told(decide(known(end), snapshot(9_999), facts(end, latest_invoice="in_9"))) == ("stale", None, None)


def test_what_is_known_already_is_unchanged_and_still_counts() -> None:
    """It says what is known; the count rises, so that a slow answer of Stripe's does not undo it."""
    decision = decide(known("active"), snapshot(1_500), facts("active"))
    assert told(decision) == ("unchanged", None, None)
    assert (decision.after.evidence, decision.after.as_of) == (4, 1_500)
    late = decide(known("active"), snapshot(20), facts("active"))
    assert late.after.as_of == 1_000, "what is known never gets older"


def test_a_hint_that_agrees_is_unchanged() -> None:
    """A paid invoice of an active subscription tells nothing new, and proves nothing about time."""
    decision = decide(known("active"), hint(State.ACTIVE), None)
    assert told(decision) == ("unchanged", None, None)
    assert (decision.after.evidence, decision.after.as_of) == (4, 1_000)


@pytest.mark.parametrize("held", [None, *sorted(LIVING)])
def test_a_hint_never_moves_a_state(held: str | None) -> None:
    """Where an invoice contradicts what is known, Stripe is asked; the state stands meanwhile."""
    decision = decide(known(held), hint(), None)
    assert told(decision) == ("pending", None, None)
    assert decision.after.facts == known(held).facts


def test_an_unreadable_shape_is_asked_about() -> None:
    """A webhook whose object can't be read is evidence that something happened."""
    assert told(decide(known("active"), snapshot(2_000), None)) == ("pending", None, None)


def test_stripes_answer_is_taken() -> None:
    """An answer needs no proof: it is what is so."""
    decision = decide(known("active"), stripe_says(), facts("past_due"))
    assert told(decision) == ("applied", "fail_payment", None)
    assert decision.after.as_of == 5_000


def test_stripes_answer_may_skip_states_that_nobody_told() -> None:
    """A jump that is no single step is `correct`: refusing it would wedge a customer."""
    decision = decide(known("incomplete"), stripe_says(), facts("unpaid"))
    assert told(decision) == ("applied", "correct", None)


def test_stripes_answer_is_dropped_when_evidence_came_meanwhile() -> None:
    """The fence: an answer read before the newest word may not know it; ask again, and count nothing."""
    decision = decide(known("active", evidence=4), stripe_says(evidence_at_ask=3), facts("past_due"))
    assert told(decision) == ("pending", None, "nothing_arrived_since")
    assert decision.after == known("active", evidence=4)


def test_an_older_answer_that_is_fenced_out_is_never_applied_even_as_unchanged() -> None:
    """Also an answer that repeats what is known waits its turn when something came meanwhile."""
    decision = decide(known("active", evidence=4), stripe_says(evidence_at_ask=3), facts("active"))
    assert decision.outcome is Outcome.PENDING


def test_a_guard_that_refuses_a_living_change_only_asks() -> None:
    """A bill that is sent is never paused by Stripe: the claim is asked about, and named."""
    before = facts("active", charges_automatically=False)
    held = known("active", facts=before)
    claim = facts("paused", charges_automatically=False)
    assert told(decide(held, snapshot(2_000, before), claim)) == ("pending", None, "charges_automatically")
    assert told(decide(held, stripe_says(), claim)) == ("applied", "correct", None)


def test_a_new_status_in_a_webhook_is_asked_about() -> None:
    """Stripe's enums are open: a ninth status passes for none of the eight."""
    decision = decide(known("active"), snapshot(2_000, facts("active")), facts(NEW_STATUS))
    assert told(decision) == ("pending", None, "status_known")
    assert decision.after.unknown_status is None


def test_a_new_status_from_stripe_is_kept_and_refused() -> None:
    """What Stripe itself says is kept under its own name; no state is made of it."""
    decision = decide(known("active"), stripe_says(), facts(NEW_STATUS))
    assert told(decision) == ("refused", None, "status_known")
    assert decision.after.unknown_status == NEW_STATUS
    assert decision.after.state is State.ACTIVE
    back = decide(decision.after, stripe_says(evidence_at_ask=decision.after.evidence), facts("active"))
    assert (back.outcome, back.after.unknown_status) == (Outcome.UNCHANGED, None)


@pytest.mark.parametrize(
    ("evidence", "claim"),
    [
        (snapshot(900), facts("active")),
        (snapshot(2_000), facts("active")),
        (snapshot(2_000, facts("active")), facts("past_due")),
    ],
    ids=["a late repeat", "a repeat", "the change before it"],
)
def test_no_webhook_overrules_a_status_that_stripe_told_and_we_do_not_know(evidence: Evidence, claim: Facts) -> None:
    """Fail closed: while Stripe's last answer is a new status, a late webhook grants nothing; Stripe is asked."""
    held = known("active", unknown_status=NEW_STATUS)
    decision = decide(held, evidence, claim)
    assert decision.outcome is Outcome.PENDING
    assert decision.after.unknown_status == NEW_STATUS
    assert decision.after.facts == held.facts


def test_a_first_webhook_does_not_overrule_it_either() -> None:
    """Stripe told of a subscription in a status that we do not know before any webhook came: it is asked again."""
    held = known(None, unknown_status=NEW_STATUS)
    assert told(decide(held, snapshot(2_000), facts("active"))) == ("pending", None, "status_known")


def test_the_end_overrules_a_status_that_we_do_not_know() -> None:
    """An end needs no order, there neither."""
    decision = decide(known("active", unknown_status=NEW_STATUS), snapshot(2_000), facts("canceled"))
    assert (decision.after.state, decision.after.unknown_status) == (State.CANCELED, None)


def test_a_change_of_facts_is_an_update_in_place() -> None:
    """Renewal, plan, quantity: the state stays, the facts move, `since` stands."""
    decision = decide(known("active"), snapshot(2_000, facts("active")), facts("active", current_period_end=7))
    assert told(decision) == ("applied", "update", None)
    assert (decision.before, decision.after.state, decision.after.since) == (State.ACTIVE, State.ACTIVE, 500)


STATUS = st.sampled_from([*sorted(STATUSES), NEW_STATUS])
FACTS = st.builds(
    facts,
    STATUS,
    charges_automatically=st.booleans(),
    trial_end=st.sampled_from([None, 500, 9_000]),
    current_period_end=st.sampled_from([None, 1]),
)
KNOWN_FACTS = (
    st.builds(facts, st.sampled_from(sorted(STATUSES)), current_period_end=st.sampled_from([None, 1])) | st.none()
)
KNOWN = st.builds(
    Subscription,
    subscription_id=st.just("sub_1"),
    facts=KNOWN_FACTS,
    as_of=st.integers(0, 3),
    evidence=st.integers(0, 2),
    since=st.integers(0, 3),
    unpaid_since=st.none() | st.integers(0, 3),
    unknown_status=st.none() | st.just(NEW_STATUS),
)
EVIDENCE = st.builds(
    Evidence,
    kind=st.sampled_from(Kind),
    created=st.integers(0, 4),
    previous=st.none() | FACTS,
    consistent_with=st.frozensets(st.sampled_from(State)),
    evidence_at_ask=st.none() | st.integers(0, 2),
)


@given(KNOWN, EVIDENCE, FACTS | st.none())
def test_decide_is_total_and_keeps_its_word(held: Subscription, evidence: Evidence, claim: Facts | None) -> None:
    """Every input has one decision, the same each time, and none breaks what must hold."""
    decision = decide(held, evidence, claim)
    assert decide(held, evidence, claim) == decision
    after = decision.after
    assert decision.before is held.state
    assert after.subscription_id == held.subscription_id
    assert after.as_of >= held.as_of
    assert after.evidence >= held.evidence
    assert after.unpaid_since == held.unpaid_since
    if held.state in ENDED:
        assert after == held
        assert decision.outcome in {Outcome.UNCHANGED, Outcome.STALE, Outcome.REFUSED}
    if decision.outcome is Outcome.APPLIED:
        assert after.facts == claim != held.facts
        assert after.evidence == held.evidence + 1
        assert decision.trigger in triggers_from(held.state)
        assert decision.guard is None
        assert evidence.kind is not Kind.HINT or claim is not None
    else:
        assert after.facts == held.facts
        assert decision.trigger is None
    if decision.outcome is Outcome.REFUSED:
        assert decision.guard in {"not_ended", "status_known"}
    if evidence.kind not in {Kind.ANSWER, Kind.ABSENCE} and held.state not in ENDED:
        assert after.evidence == held.evidence + 1, "every word counts as evidence"


@pytest.mark.parametrize("state", sorted(LIVING))
def test_kind_e_what_stripe_no_longer_has_is_canceled(state: State) -> None:
    """By `vanish`, with its last facts; not where something arrived meanwhile, and not for what a webhook says."""
    held = known(state)
    gone = vanished(held, 2_000, held.evidence)
    assert (gone.outcome, gone.trigger, gone.after.state) == (Outcome.APPLIED, "vanish", State.CANCELED)
    assert held.facts is not None
    assert gone.after.facts == msgspec.structs.replace(held.facts, status="canceled", ended_at=2_000)
    overtaken = vanished(held, 2_000, held.evidence - 1)
    assert (overtaken.outcome, overtaken.guard) == (Outcome.PENDING, "nothing_arrived_since")
    assert decide(held, snapshot(2_000, facts(state)), facts("canceled")).trigger == "cancel"


def test_kind_e_an_answer_with_the_subscription_in_it_ends_the_absence() -> None:
    """Stripe has it after all: the first 404 is forgotten."""
    held = msgspec.structs.replace(known(State.ACTIVE), missing_since=1_000)
    assert decide(held, stripe_says(), facts("active")).after.missing_since is None
    assert decide(held, stripe_says(), facts("past_due")).after.missing_since is None


def test_kind_c_a_cut_list_of_items_is_asked_about() -> None:
    """What is beyond it may have changed; Stripe's own answer is taken, and so is an end."""
    held = known(State.ACTIVE)
    cut = facts("past_due", items_cut=True)
    decision = decide(held, snapshot(2_000, facts("active")), cut)
    assert (decision.outcome, decision.guard) == (Outcome.PENDING, "items_listed_whole")
    assert decide(held, stripe_says(), cut).outcome is Outcome.APPLIED
    assert decide(held, snapshot(2_000, None), facts("canceled", items_cut=True)).outcome is Outcome.APPLIED


def test_what_a_version_of_the_api_can_not_say_breaks_no_proof() -> None:
    """An old version has no billing mode, and names a schedule by its id alone: what is known of them stays."""
    planned = Schedule("s", (Phase(1),), mark="change")
    whole = {"billing_mode": "flexible", "livemode": False, "schedule": planned}
    held = msgspec.structs.replace(known(State.ACTIVE), facts=facts("active", **whole))
    bare = {"schedule": Schedule("s")}
    decision = decide(held, snapshot(2_000, facts("active", **bare)), facts("past_due", **bare))
    assert decision.outcome is Outcome.APPLIED
    assert decision.after.facts == facts("past_due", **whole)


def test_every_row_of_the_table_fires() -> None:
    """No row is dead: each is the way that some evidence takes."""
    fired: set[tuple[str, State]] = set()
    for source, claim in itertools.product(State, sorted(STATUSES)):
        before = None if source is State.NONE else facts(source)
        for held, change in ((known(before and source), {}), (known(before and source), {"current_period_end": 1})):
            for evidence in (snapshot(2_000, before), stripe_says()):
                decision = decide(held, evidence, facts(claim, **change))
                if decision.trigger is not None:
                    fired.add((decision.trigger, source))
    fired |= {(vanished(known(state), 2_000, 3).trigger or "", state) for state in LIVING}
    assert fired == {(row.trigger, row.source) for row in TRANSITIONS}
