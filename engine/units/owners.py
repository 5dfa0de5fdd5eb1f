"""Whose a subscription is, and what its user is shown.

A subscription belongs to the user that its own metadata names, else its customer's metadata, else to whom a
checkout made that customer for.  All of these may become known late, or change; then what follows is drawn anew.
"""

from __future__ import annotations

from msgspec.structs import replace

from interlock.engine.core import view
from interlock.engine.core.holding import Holder, hold
from interlock.engine.core.machine import counted
from interlock.engine.core.states import Facts, State, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.records import Customer, Projected
from interlock.engine.wire.reports import CheckoutReport, CustomerReport
from interlock.engine.wire.values import usable_user


def owner_of(facts: Facts | None) -> Work[str | None]:
    """Whose a subscription is: its own metadata, else its customer's, else whom a checkout made that for."""
    if facts is None:
        return None
    if facts.user_id is not None:
        return facts.user_id
    return (yield from owner_of_customer(facts.customer_id))


def owner_of_customer(customer_id: str | None) -> Work[str | None]:
    customer = yield from records.customer(customer_id)
    return customer.owner if customer else None


def note_customer(report: CustomerReport, at: int, unit: Unit, *, authoritative: bool = False) -> Work[bool]:
    """Keep what is said of a customer, and give its subscriptions to the user it names.  Returns whether it is new.

    Late words do not undo later ones; a tie is settled by Stripe's own answer about any of its subscriptions.
    That it was deleted is its end, and needs no order; it may be the first that is heard of whose it was.
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
    """Close the session, and remember whom it was for.  A customer that is somebody's already stays theirs."""
    buyer = None
    if report.status != "open":
        status = "complete" if report.status == "complete" else "expired"
        buyer = yield from records.close_checkout(report.session_id, status)
    if buyer is not None:
        yield from records.next_checkout(buyer)
        yield from redraw(buyer, unit)
    if report.customer_id is None or report.user_id is None:
        return buyer is not None
    known = (yield from records.customer(report.customer_id)) or Customer(report.customer_id)
    if known.checkout_user_id is not None:
        return buyer is not None
    yield from records.save_customer(replace(known, checkout_user_id=report.user_id))
    yield from _relink(report.customer_id, unit)
    return True


def _relink(customer_id: str, unit: Unit) -> Work[None]:
    """The customer's user became known or another: its subscriptions follow, unless they name their own."""
    owner = yield from owner_of_customer(customer_id)
    if owner is not None:
        yield from redraw(owner, unit, customer_id=customer_id)
    for subscription_id in (yield from records.subscriptions_of_customer(customer_id)):
        held = yield from records.subscription(subscription_id)
        facts = held.known.facts
        if facts is None or facts.user_id is not None or owner is None or held.user_id == owner:
            continue
        yield from records.save_subscription(counted(held.known), owner)  # an answer under way may not know of it
        if held.user_id is None:
            yield from records.link_decisions(subscription_id, owner)
        else:
            yield from redraw(held.user_id, unit)
        yield from redraw(owner, unit, customer_id=customer_id)
    yield from _find_portal_anew(customer_id, unit)


def share(customer_id: str, newcomer: str, unit: Unit) -> Work[None]:
    """A subscription came to a user: where its customer is not theirs alone, it is nobody's portal from now on."""
    users = yield from records.users_sharing_customer(customer_id)
    users.add((yield from owner_of_customer(customer_id)) or newcomer)
    if users != {newcomer}:
        yield from _find_portal_anew(customer_id, unit)


def _find_portal_anew(customer_id: str, unit: Unit) -> Work[None]:
    """Take a customer from whoever manages it in the portal, and give it back only where it is still theirs alone."""
    users = yield from records.users_of_customer(customer_id)
    for user_id in users:
        yield from records.drop_customer(user_id)
    for user_id in users:
        yield from redraw(user_id, unit, customer_id=customer_id)


def redraw(user_id: str, unit: Unit, *, customer_id: str | None = None) -> Work[bool]:
    """Draw a user's state anew; the version rises exactly when something shown changed.  Returns whether it did."""
    assert usable_user(user_id) == user_id, "a user id was checked where it came in"
    user = yield from records.user_for_projection(user_id)
    version, shown, updated_at, subscriptions = user.version, user.shown, user.updated_at, user.subscriptions
    customer = user.customer_id or (yield from customer_for(user_id, customer_id))
    holding = hold(
        Holder(
            user_id=user_id,
            subscriptions=subscriptions,
            customer_id=customer,
            barred=frozenset(s.facts.customer_id for s in subscriptions if s.facts) - {customer},
            trial_used=user.trial_used_at is not None,
            checkout_until=(yield from _checkout_until(user_id, subscriptions)),
        ),
        unit.catalogue,
        unit.now,
    )
    state, until = view.view(holding), holding.changes_at
    ours = [one.known.facts for one in holding.ours if one.known.facts]
    trials = [facts.trial_end for facts in ours if facts.trial_end is not None]
    trial_used_at = user.trial_used_at or min(trials, default=None)
    before, now_shown = shown or view.undated(view.nobody(user_id, unit.catalogue)), view.undated(state)
    changed = not before.startswith(now_shown)
    if changed:
        version, updated_at = version + 1, int(unit.now)
        shown = view.dated(now_shown, version, updated_at)
        unit.touched.add(user_id)
    drawn = Projected(user_id, version, shown, until, unit.catalogue.digest, updated_at, customer, trial_used_at)
    yield from records.save_projection(drawn, user)
    return changed


def customer_for(user_id: str, candidate: str | None) -> Work[str | None]:
    """The customer that a user may manage in the portal: one that is theirs alone and still there."""
    if candidate is None:
        return None
    customer = (yield from records.customer(candidate)) or Customer(candidate)
    if customer.deleted or (customer.owner or user_id) != user_id:
        return None
    sharers = yield from records.users_sharing_customer(candidate)
    return candidate if sharers <= {user_id} else None


def _checkout_until(user_id: str, subscriptions: list[Subscription]) -> Work[int | None]:
    if all(subscription.state is not State.INCOMPLETE for subscription in subscriptions):
        return None
    session = yield from records.open_checkout(user_id)
    return session.expires_at if session else None
