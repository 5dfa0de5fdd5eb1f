"""The named predicates that stand before a transition.

Each takes what is known, the evidence and the facts that it brings; each is pure.  Their names are what an
operator reads where an event was refused or had to be asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from interlock.engine.core.states import ENDED, STATUSES, Evidence, Facts, Kind, Subscription

Guard: TypeAlias = Callable[[Subscription, Evidence, Facts], bool]


def not_ended(known: Subscription, _evidence: Evidence, _facts: Facts | None) -> bool:
    """An ended subscription never lives again (Stripe: a canceled subscription can't be updated)."""
    return known.state not in ENDED


def status_known(_known: Subscription, _evidence: Evidence, facts: Facts) -> bool:
    """The status is one of the eight: Stripe's enums are open, and a new one must not pass for another."""
    return facts.status in STATUSES


def nothing_arrived_since(known: Subscription, evidence: Evidence, _facts: Facts) -> bool:
    """No evidence came between the question to Stripe and its answer, so no newer word is overwritten."""
    return evidence.evidence_at_ask == known.evidence


def stripe_was_asked(_known: Subscription, evidence: Evidence, _facts: Facts) -> bool:
    """The facts are Stripe's own answer, not a message that may be late."""
    return evidence.kind is Kind.ANSWER


def stripe_has_it_no_more(_known: Subscription, evidence: Evidence, _facts: Facts) -> bool:
    """Stripe answered twice, at least ten minutes apart and with other answers between, that it has no such one."""
    return evidence.kind is Kind.ABSENCE


def items_listed_whole(_known: Subscription, evidence: Evidence, facts: Facts) -> bool:
    """The items are all there: a webhook lists only the first of many, and the others must be asked for."""
    return not facts.items_cut or evidence.kind is Kind.ANSWER or facts.status in ENDED


def proven_next(known: Subscription, evidence: Evidence, _facts: Facts) -> bool:
    """Nothing can lie between what is known and this: it is later, and it starts from exactly what is known.

    Later alone proves nothing (Stripe promises no order, seconds tie), and neither does the chain alone
    (a status can go and come back); both together do.  An answer of Stripe's needs no proof.
    """
    if evidence.kind is Kind.ANSWER:
        return True
    if evidence.previous is None or evidence.created <= known.as_of:
        return False
    return evidence.previous.completed_by(known.facts) == known.facts


def is_terminal(_known: Subscription, evidence: Evidence, facts: Facts) -> bool:
    """Stripe says that it ended.  Nothing comes after an end, so it needs no proof of what came before it."""
    return facts.status in ENDED and evidence.kind is not Kind.ABSENCE


def trial_ahead(_known: Subscription, evidence: Evidence, facts: Facts) -> bool:
    """A trial that is said to run ends later than the message that says so."""
    return facts.trial_end is not None and facts.trial_end > evidence.created


def charges_automatically(_known: Subscription, _evidence: Evidence, facts: Facts) -> bool:
    """Stripe pauses, and waits for a first payment, only where it charges by itself, not where it sends bills."""
    return facts.charges_automatically
