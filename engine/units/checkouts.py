"""What checkout and portal need of a user, and what a checkout leaves behind: one transaction each."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from interlock.engine.core.holding import Holder, Holding, hold
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.projection import customer_for
from interlock.engine.units.records import Customer, OpenCheckout


class Buyer(Struct, frozen=True):
    """What is stored of a user who wants to buy.  `current` is the living subscription that they are shown."""

    customer_id: str | None
    customer_serial: int
    checkout_serial: int
    trial_used: bool
    holding: Holding
    current: str | None
    open_session: OpenCheckout | None


def buyer(user_id: str, unit: Unit) -> Work[Buyer]:
    """Read and lock a user who wants to buy; one never seen is made."""
    user = yield from records.user_locked(user_id)
    subscriptions = yield from records.subscriptions_of_user(user_id)
    customer_id = user.customer_id
    for owned in (yield from records.customers_of_user(user_id)):
        customer_id = customer_id or (yield from customer_for(user_id, owned))
    session = yield from records.open_checkout(user_id)
    holder = Holder(
        user_id=user_id,
        subscriptions=subscriptions,
        customer_id=customer_id,
        trial_used=user.trial_used_at is not None,
        checkout_until=session.expires_at if session else None,
    )
    holding = hold(holder, unit.catalogue, unit.now)
    current = holding.shown if holding.shown is not None and holding.shown.lives else None
    return Buyer(
        customer_id=customer_id,
        customer_serial=user.customer_serial,
        checkout_serial=user.checkout_serial,
        trial_used=holding.trial_used,
        holding=holding,
        current=current.known.subscription_id if current else None,
        open_session=session,
    )


def keep_customer(user_id: str, customer_id: str, unit: Unit) -> Work[None]:
    """A checkout made a customer for this user: their checkouts and their portal use it."""
    known = (yield from records.customer(customer_id)) or Customer(customer_id)
    yield from records.save_customer(replace(known, checkout_user_id=user_id))
    yield from records.set_customer(user_id, customer_id)
    unit.touch(user_id)


def keep_session(user_id: str, made: OpenCheckout, unit: Unit) -> Work[bool]:
    """Store an open session; returns False where the user has another one open."""
    session = yield from records.open_checkout(user_id)
    if session is not None and session.session_id != made.session_id:
        return False
    yield from records.add_checkout(user_id, made)
    unit.touch(user_id)
    return True


def close_session(user_id: str, session_id: str, unit: Unit) -> Work[None]:
    """A session has ended without a purchase: the user's next checkout is another intent."""
    if (yield from records.close_checkout(session_id, "expired")) is not None:
        yield from records.next_checkout(user_id)
    unit.touch(user_id)


def has_sharers(user_id: str, customer_id: str) -> Work[bool]:
    """Whether other users hold subscriptions of this customer."""
    return bool((yield from records.users_sharing_customer(customer_id)) - {user_id})
