"""Whose a subscription is.

A subscription belongs to the user that its own metadata names, else its customer's metadata, else to whom a
checkout made that customer for.  All of these may become known late, or change; then what follows is noted anew.
"""

from __future__ import annotations

from msgspec.structs import replace

from interlock.engine.core.machine import counted
from interlock.engine.core.states import Facts
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.records import Customer
from interlock.engine.wire.reports import CheckoutReport, CustomerReport


def owner_of(facts: Facts | None) -> Work[str | None]:
    """Whose a subscription is: its own metadata, else its customer's, else whom a checkout made that for."""
    if facts is None:
        return None
    if facts.user_id is not None:
        return facts.user_id
    return (yield from owner_of_customer(facts.customer_id))


def owner_of_customer(customer_id: str | None) -> Work[str | None]:
    """Whose a customer is: the user whom it names, else whom a checkout made it for."""
    customer = yield from records.customer(customer_id)
    return customer.owner if customer else None


def note_customer(report: CustomerReport, at: int, unit: Unit, *, authoritative: bool = False) -> Work[bool]:
    """Keep what is said of a customer, and give its subscriptions to the user it names.  Returns whether it is new.

    An older report does not undo a newer one; a tie is settled by Stripe's own answer about any of its subscriptions.
    Deletion is final and needs no order; its event may be the first report of whose the customer was.
    """
    known = (yield from records.customer(report.customer_id)) or Customer(report.customer_id)
    late = at < known.as_of or (at == known.as_of and known.user_id is not None and not authoritative)
    if (known.deleted and known.user_id is not None) or (not report.deleted and (known.deleted or late)):
        return False
    named = known.user_id or report.user_id if report.deleted else report.user_id
    gone = int(bool(known.deleted) or report.deleted)
    yield from records.save_customer(replace(known, user_id=named, as_of=max(at, known.as_of), deleted=gone))
    if (named, gone) == (known.user_id, known.deleted):
        return False
    yield from _relink(report.customer_id, unit)
    return True


def note_checkout(report: CheckoutReport, unit: Unit) -> Work[bool]:
    """Close the session, and keep whom it was for.  A customer that already has a user keeps it.

    Returns whether any of this is new.
    """
    buyer = None
    if report.status != "open":
        status = "complete" if report.status == "complete" else "expired"
        buyer = yield from records.close_checkout(report.session_id, status)
    if buyer is not None:
        yield from records.next_checkout(buyer)
        unit.touch(buyer)
    if report.customer_id is None or report.user_id is None:
        return buyer is not None
    known = (yield from records.customer(report.customer_id)) or Customer(report.customer_id)
    if known.checkout_user_id is not None:
        return buyer is not None
    yield from records.save_customer(replace(known, checkout_user_id=report.user_id))
    yield from _relink(report.customer_id, unit)
    return True


def _relink(customer_id: str, unit: Unit) -> Work[None]:
    """The customer's user became known, or is another: its subscriptions follow, unless they name their own."""
    owner = yield from owner_of_customer(customer_id)
    if owner is not None:
        unit.touch(owner, customer_id)
    for subscription_id in (yield from records.subscriptions_of_customer(customer_id)):
        held = yield from unit.subscription(subscription_id)
        facts = held.known.facts
        if facts is None or facts.user_id is not None or owner is None or held.user_id == owner:
            continue
        unit.put(counted(held.known), owner)  # an answer in flight may not know of it
        if held.user_id is None:
            yield from records.link_decisions(subscription_id, owner)
        else:
            unit.touch(held.user_id)
    unit.release(customer_id)
