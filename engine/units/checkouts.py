"""What checkout and portal need of a user, and what a checkout leaves behind: one transaction each."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from interlock.engine.core.actions import Refusal, checkout_of
from interlock.engine.core.holding import Holding
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.holdings import holding_of
from interlock.engine.units.records import Customer, OpenCheckout


class Buyer(Struct, frozen=True):
    """What is stored of a user who wants to buy, and what they hold.  `customer_id` is the one to sell to."""

    customer_id: str | None
    customer_serial: int
    checkout_serial: int
    holding: Holding
    open_session: OpenCheckout | None

    def refusal(self, plan_key: str, *, session_is_open: bool) -> Refusal | None:
        """Why a checkout of this plan may not begin; None where it may.  An open session may be finished."""
        until = self.open_session.expires_at if self.open_session and session_is_open else None
        holding = self.holding
        return checkout_of(replace(holding, holder=replace(holding.holder, checkout_until=until)), plan_key)


def buyer(user_id: str, unit: Unit) -> Work[Buyer]:
    """Read and lock a user who wants to buy; one never seen is made."""
    user = yield from records.user_locked(user_id)
    subscriptions = yield from records.subscriptions_of_user(user_id)
    session = yield from records.open_checkout(user_id)
    holding = yield from holding_of(user_id, user, subscriptions, unit)
    return Buyer(
        customer_id=holding.portal_customer,
        customer_serial=user.customer_serial,
        checkout_serial=user.checkout_serial,
        holding=holding,
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
