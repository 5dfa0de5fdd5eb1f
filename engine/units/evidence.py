"""What one event, or one answer of Stripe's, does to the store: the units of work around `decide`.

    take(event)           a webhook: seen before? ours? → load what is known → decide → note the effects
    take_answer(reading)  what Stripe answered about one subscription: the same, and the events that waited for it

Each is one transaction, whole or not at all; the runner ends it.
"""

from __future__ import annotations

from typing import Final

import msgspec
from isal import isal_zlib

from interlock.engine.core.invoices import Invoice, expected_states, merge, summarise
from interlock.engine.core.machine import decide, vanished
from interlock.engine.core.states import LIVING, Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.owners import (
    note_checkout,
    note_customer,
    owner_of,
    owner_of_customer,
)
from interlock.engine.units.records import QUESTION, EventName, StoredEvent, StoredSubscription
from interlock.engine.wire.events import Event
from interlock.engine.wire.reports import CustomerReport

MISSING_SECONDS: Final = 600
"""How long after Stripe's first 404 it is asked again about a subscription; a second one ends it."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe answered about one subscription.  `facts` None: there is no such subscription.

    `date` is the answer's, `evidence_at_ask` the subscription's count of evidence before the question.
    """

    subscription_id: str
    facts: Facts | None
    date: int
    evidence_at_ask: int
    invoices: tuple[Invoice, ...] = ()
    customer: CustomerReport | None = None
    source: str = "reconcile"


# --- one webhook -----------------------------------------------------------------------------------------


def take(event: Event, body: bytes, unit: Unit) -> Work[Outcome]:
    """Store one event and decide it.  Returns its outcome; `duplicate` where the id was here before."""
    if (yield from records.event_seen(event.id, _account(event))):
        return Outcome.DUPLICATE
    outcome, about = Outcome.IGNORED, event.subscription_id
    if event.of_interest and event.account is None and event.livemode in (None, unit.livemode):
        if event.subscription_id is not None:
            outcome = yield from _about_subscription(event, event.subscription_id, unit)
        else:
            outcome, about = yield from _about_customer(event, unit)
    payload = isal_zlib.compress(body, 1)  # pyright: ignore[reportUnknownMemberType] - zlib's format, a third of its time
    stored = StoredEvent(
        event_id=event.id,
        account=_account(event),
        type=event.type,
        created=event.created,
        received_at=int(unit.now),
        subscription_id=about,
        customer_id=event.customer_id,
        outcome=outcome.value,
        payload=payload,
    )
    yield from records.add_event(stored)
    return outcome


def _account(event: Event) -> str:
    """The account that is stored: another one's id, empty for our own."""
    return event.account or ""


def _about_subscription(event: Event, subscription_id: str, unit: Unit) -> Work[Outcome]:
    assert event.evidence is not None
    if event.checkout is not None:
        yield from note_checkout(event.checkout, unit)
    held = yield from unit.subscription(subscription_id)
    known, evidence = held.known, event.evidence
    if event.invoice is not None:
        known, invoice = yield from _note_invoice(known, event.invoice)
        evidence = msgspec.structs.replace(evidence, consistent_with=expected_states(invoice, known))
        if invoice.lacks_code:  # the payment says why it failed, and no event of the invoice does
            unit.ask(subscription_id)
    decision = decide(known, evidence, event.facts)
    owner = yield from _note_decision(held, decision, event.facts, event, "webhook", unit)
    if owner is None and decision.outcome in (Outcome.APPLIED, Outcome.UNCHANGED):
        if decision.before is State.NONE:  # its customer may name a user
            unit.ask(subscription_id)
        return Outcome.UNLINKED
    return decision.outcome


def _about_customer(event: Event, unit: Unit) -> Work[tuple[Outcome, str | None]]:
    """Note whose a customer is, and ask about its subscriptions where the event may concern them.

    Returns the outcome, and the subscription whose answer will settle it, where one is asked about.
    """
    known, changed = False, False
    if event.customer is not None:
        changed = yield from note_customer(event.customer, event.created, unit)
        known = event.customer.user_id is not None
    if event.checkout is not None:
        changed = yield from note_checkout(event.checkout, unit)
        known = True
    asked = yield from _hint_to_all(event, unit)
    user_id = yield from owner_of_customer(event.customer_id)
    if asked:
        outcome = Outcome.PENDING
    elif changed:
        outcome = Outcome.APPLIED
    else:
        outcome = Outcome.UNCHANGED if known else Outcome.IGNORED
    if user_id is not None and outcome is not Outcome.IGNORED:
        unit.record(event, "webhook", user_id, asked, outcome=outcome)
    return outcome, asked


def _hint_to_all(event: Event, unit: Unit) -> Work[str | None]:
    """Weigh a customer's event against each of its subscriptions; returns one that must be asked about, if any."""
    asked: str | None = None
    if event.evidence is None or event.evidence.consistent_with:
        return asked
    for subscription_id in (yield from records.subscriptions_of_customer(event.customer_id)):
        held = yield from unit.subscription(subscription_id)
        decision = decide(held.known, event.evidence, None)
        if decision.outcome is Outcome.PENDING:
            asked = subscription_id
            unit.put(decision.after, held.user_id)
            unit.ask(subscription_id)
    return asked


# --- one answer of Stripe's ------------------------------------------------------------------------------


def take_answer(reading: Reading, unit: Unit) -> Work[Outcome]:
    """Commit what Stripe answered.  Returns `pending` when evidence arrived meanwhile: ask again."""
    if reading.facts is None:
        return (yield from _no_such_subscription(reading, unit))
    held = yield from unit.subscription(reading.subscription_id)
    evidence = Evidence(kind=Kind.ANSWER, created=reading.date, evidence_at_ask=reading.evidence_at_ask)
    decision = decide(held.known, evidence, reading.facts)
    if decision.outcome is Outcome.PENDING:
        return decision.outcome
    if reading.customer is not None and (
        yield from note_customer(reading.customer, reading.date, unit, authoritative=True)
    ):
        held = yield from unit.subscription(reading.subscription_id)  # it may be another's by now
    for invoice in reading.invoices:
        if invoice.subscription_id != reading.subscription_id:
            continue  # Stripe named another's; that one may not be stored, and is not what was asked about
        noted, _ = yield from _note_invoice(decision.after, invoice)
        decision = msgspec.structs.replace(decision, after=noted)
    waiting = yield from records.pending_events(reading.subscription_id)
    newest = waiting[0] if waiting else None
    source = "webhook" if waiting else reading.source
    owner = yield from _note_decision(held, decision, reading.facts, newest, source, unit)
    yield from _close_waiting(waiting, decision.outcome, owner, reading.subscription_id, unit)
    yield from records.done(QUESTION, reading.subscription_id)
    return decision.outcome


def _close_waiting(
    waiting: list[EventName], outcome: Outcome, user_id: str | None, subscription_id: str, unit: Unit
) -> Work[None]:
    """Decide the events that waited: what the answer did is the newest one's, the others are older than it."""
    for position, event in enumerate(waiting):
        its_outcome = Outcome.STALE if position else outcome
        yield from records.set_outcome(event.id, its_outcome.value)
        if position:
            unit.record(event, "webhook", user_id, subscription_id, outcome=its_outcome)


def _no_such_subscription(reading: Reading, unit: Unit) -> Work[Outcome]:
    """Stripe has no such subscription: deleted test data, or another account's.

    What lives is asked about once more, ten minutes later, and is canceled if Stripe still does not have it.  Of one
    that was never seen, or has ended, the events that wait are given up, and kept for replay.
    """
    held = yield from unit.subscription(reading.subscription_id)
    known = held.known
    if known.evidence != reading.evidence_at_ask:
        return Outcome.PENDING  # an event about it arrived meanwhile
    if known.state in LIVING and known.missing_since is None:
        unit.put(msgspec.structs.replace(known, missing_since=int(unit.now)), held.user_id)
    waits = MISSING_SECONDS - (int(unit.now) - (known.missing_since or int(unit.now)))
    if known.state in LIVING and waits > 0:
        yield from records.done(QUESTION, reading.subscription_id)
        unit.ask(reading.subscription_id, waits * 1000)
        return Outcome.FAILED
    waiting = yield from records.pending_events(reading.subscription_id)
    if known.state in LIVING:
        decision = vanished(known, int(unit.now), reading.evidence_at_ask)
        newest, source = (waiting[0], "webhook") if waiting else (None, reading.source)
        owner = yield from _note_decision(held, decision, None, newest, source, unit)
        yield from _close_waiting(waiting, decision.outcome, owner, reading.subscription_id, unit)
        outcome = decision.outcome
    else:
        outcome = Outcome.FAILED
        for event in waiting:
            yield from records.set_outcome(event.id, outcome.value)
            unit.record(event, "webhook", held.user_id, reading.subscription_id, outcome=outcome)
    yield from records.done(QUESTION, reading.subscription_id)
    return outcome


# --- what both share -------------------------------------------------------------------------------------


def _note_decision(
    held: StoredSubscription,
    decision: Decision,
    claimed: Facts | None,
    event: Event | EventName | None,
    source: str,
    unit: Unit,
) -> Work[str | None]:
    """Note what was decided, for whom, and who sees it.  Returns the owner."""
    known, after = held.known, decision.after
    owner = (yield from owner_of(after.facts or claimed)) or held.user_id
    unit.put(after, owner)
    if decision.outcome is Outcome.PENDING or (isinstance(event, Event) and _lacks_parts(decision)):
        unit.ask(after.subscription_id)
    if event is not None or decision.outcome is not Outcome.UNCHANGED:  # a sweep that finds nothing leaves no entry
        unit.record(event, source, owner, after.subscription_id, decision=decision, before=known.facts)
    if owner is not None and held.user_id is None and known.evidence:
        yield from records.link_decisions(after.subscription_id, owner)
    newly_theirs = owner != held.user_id or known.facts is None
    if owner is not None and newly_theirs and after.facts is not None:
        unit.newcomers.append((after.facts.customer_id, owner))
    seen_before = (known.facts, known.unpaid_since, known.billing, known.unknown_status, held.user_id)
    if seen_before != (after.facts, after.unpaid_since, after.billing, after.unknown_status, owner):
        customer_id = after.facts.customer_id if after.facts else None
        for user_id in (owner, held.user_id):
            if user_id is not None:
                unit.touch(user_id, customer_id)
    return owner


def _lacks_parts(decision: Decision) -> bool:
    """Whether something changed of which the event can't say all.

    That is what a schedule plans, and, where collection is paused, until when was paid.
    """
    after, facts = decision.after, decision.after.facts
    if decision.outcome is not Outcome.APPLIED or facts is None or not after.lives:
        return False
    return not facts.is_whole or (facts.collection_paused and after.billing.paid_until is None)


def _note_invoice(known: Subscription, reported: Invoice) -> Work[tuple[Subscription, Invoice]]:
    """Merge what is said of an invoice; returns the subscription with what all its invoices say, and the invoice."""
    before = yield from records.invoice(reported.invoice_id)
    invoice = merge(before, reported)
    if invoice != before:
        yield from records.save_invoice(invoice)
    since, billing = summarise((yield from records.invoices_of(known.subscription_id)))
    return msgspec.structs.replace(known, unpaid_since=since, billing=billing), invoice
