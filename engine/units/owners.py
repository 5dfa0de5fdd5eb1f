"""Whose a subscription is, and what its user is shown.

A subscription belongs to the user that its own metadata names, else its customer's metadata, else to whom a
checkout made that customer for.  All of these may become known late, or change; then what follows is drawn anew.
"""

from __future__ import annotations

from interlock.engine.core import view
from interlock.engine.core.machine import counted
from interlock.engine.core.states import Facts, State, Subscription
from interlock.engine.store import Work
from interlock.engine.units.records import Moment, load, put, subscription_from
from interlock.engine.wire.events import CheckoutReport, CustomerReport
from interlock.engine.wire.objects import usable_user


def owner_of(facts: Facts | None) -> Work[str | None]:
    """Whose a subscription is: its own metadata, else its customer's, else whom a checkout made that for."""
    if facts is None:
        return None
    if facts.user_id is not None:
        return facts.user_id
    return (yield from owner_of_customer(facts.customer_id))


def owner_of_customer(customer_id: str | None) -> Work[str | None]:
    rows = yield "customer_get", (customer_id,)
    return rows[0][0] or rows[0][1] if rows else None


def adopt(subscription_id: str, owner: str) -> Work[None]:
    """A subscription's user became known: what was decided before is theirs too."""
    yield "decision_link", (subscription_id, owner)
    yield "event_link", (subscription_id,)


def note_customer(report: CustomerReport, at: int, moment: Moment, *, authoritative: bool = False) -> Work[bool]:
    """Keep what is said of a customer, and give its subscriptions to the user it names.  Returns whether it is new.

    Late words do not undo later ones; a tie is settled by Stripe's own answer about any of its subscriptions.
    That it was deleted is its end, and needs no order; it may be the first that is heard of whose it was.
    """
    rows = yield "customer_get", (report.customer_id,)
    user_id, checkout_user_id, as_of, deleted = rows[0] if rows else (None, None, -1, 0)
    late = at < as_of or (at == as_of and user_id is not None and not authoritative)
    if (deleted and user_id is not None) or (not report.deleted and (deleted or late)):
        return False
    named = user_id or report.user_id if report.deleted else report.user_id
    gone = int(bool(deleted) or report.deleted)
    yield "customer_put", (report.customer_id, named, checkout_user_id, max(at, as_of), gone)
    if (named, gone) == (user_id, deleted):
        return False
    yield from _relink(report.customer_id, moment)
    return True


def note_checkout(report: CheckoutReport, moment: Moment) -> Work[bool]:
    """Close the session, and remember whom it was for.  A customer that is somebody's already stays theirs."""
    closed = False
    if report.status != "open":
        rows = yield "checkout_close", (report.session_id, "complete" if report.status == "complete" else "expired")
        closed = bool(rows)
        for row in rows:
            yield "users_next_checkout", (row[0],)
            yield from redraw(row[0], moment)
    if report.customer_id is None or report.user_id is None:
        return closed
    rows = yield "customer_get", (report.customer_id,)
    user_id, checkout_user_id, as_of, deleted = rows[0] if rows else (None, None, -1, 0)
    if checkout_user_id is not None:
        return closed
    yield "customer_put", (report.customer_id, user_id, report.user_id, as_of, deleted)
    yield from _relink(report.customer_id, moment)
    return True


def _relink(customer_id: str, moment: Moment) -> Work[None]:
    """The customer's user became known or another: its subscriptions follow, unless they name their own."""
    owner = yield from owner_of_customer(customer_id)
    if owner is not None:
        yield from redraw(owner, moment, customer_id=customer_id)
    for row in (yield "subscription_of_customer", (customer_id,)):
        held = yield from load(row[0])
        facts = held.known.facts
        if facts is None or facts.user_id is not None or owner is None or held.user_id == owner:
            continue
        yield put(counted(held.known), owner)  # an answer under way may not know of it
        if held.user_id is None:
            yield from adopt(row[0], owner)
        else:
            yield from redraw(held.user_id, moment)
        yield from redraw(owner, moment, customer_id=customer_id)
    yield from _find_portal_anew(customer_id, moment)


def share(customer_id: str, newcomer: str, moment: Moment) -> Work[None]:
    """A subscription came to a user: where its customer is not theirs alone, it is nobody's portal from now on."""
    users = {row[0] for row in (yield "subscription_users_of_customer", (customer_id,))}
    users.add((yield from owner_of_customer(customer_id)))
    if not users <= {newcomer, None}:
        yield from _find_portal_anew(customer_id, moment)


def _find_portal_anew(customer_id: str, moment: Moment) -> Work[None]:
    """Take a customer from whoever manages it in the portal, and give it back only where it is still theirs alone."""
    for row in (yield "users_drop_customer", (customer_id,)):
        yield from redraw(row[0], moment, customer_id=customer_id)


def redraw(user_id: str, moment: Moment, *, customer_id: str | None = None) -> Work[bool]:
    """Draw a user's state anew; the version rises exactly when something shown changed.  Returns whether it did."""
    assert usable_user(user_id) == user_id, "a user id was checked where it came in"
    rows = yield "users_draw", (user_id,)
    if not rows:
        yield "users_ensure", (user_id,)
        rows = yield "users_draw", (user_id,)
    version, shown, updated_at, *kept = rows[0][:5]
    customer, trial_used_at = kept
    subscriptions = [subscription_from(*row[5:]) for row in rows if row[5] is not None]
    customer = customer or (yield from customer_for(user_id, customer_id))
    standing = view.Standing(
        user_id=user_id,
        subscriptions=subscriptions,
        has_customer=customer is not None,
        checkout_until=(yield from _checkout_until(user_id, subscriptions)),
    )
    state, until = view.view(standing, moment.catalogue, moment.now)
    trials = [s.facts.trial_end for s in subscriptions if s.facts and s.facts.trial_end is not None]
    trial_used_at = trial_used_at or min(trials, default=None)
    before, now_shown = shown or view.undated(view.nobody(user_id, moment.catalogue)), view.undated(state)
    changed = not before.startswith(now_shown)
    if changed:
        version, updated_at = version + 1, int(moment.now)
        shown = view.dated(now_shown, version, updated_at)
        moment.touched.add(user_id)
    drawn = (user_id, version, shown, until, moment.catalogue.digest, updated_at)
    if [customer, trial_used_at] == kept:
        yield "users_update", drawn
    else:
        yield "users_show", (*drawn, customer, trial_used_at)
    return changed


def customer_for(user_id: str, candidate: str | None) -> Work[str | None]:
    """The customer that a user may manage in the portal: one that is theirs alone and still there."""
    if candidate is None:
        return None
    rows = yield "customer_get", (candidate,)
    named, made_for, _, deleted = rows[0] if rows else (None, None, 0, 0)
    if deleted or (named or made_for or user_id) != user_id:
        return None
    sharers = {row[0] for row in (yield "subscription_users_of_customer", (candidate,))}
    return candidate if sharers <= {user_id, None} else None


def _checkout_until(user_id: str, subscriptions: list[Subscription]) -> Work[int | None]:
    if all(subscription.state is not State.INCOMPLETE for subscription in subscriptions):
        return None
    rows = yield "checkout_open", (user_id,)
    return rows[0][3] if rows else None
