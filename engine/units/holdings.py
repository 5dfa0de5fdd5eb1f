"""What a user holds, from what is stored: the store's part of `core.holding`."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from interlock.engine.core.holding import Holder, Holding, hold, unremembered
from interlock.engine.core.states import State, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.records import Customer, User, UserToProject


def holding_of(
    user_id: str,
    user: User | UserToProject,
    subscriptions: list[Subscription],
    unit: Unit,
    *,
    candidates: Iterable[str] = (),
) -> Work[Holding]:
    """Read what a user holds now.  `candidates` are customers that may have become theirs."""
    unnamed = unremembered(subscriptions, unit.catalogue)
    holder = Holder(
        user_id=user_id,
        subscriptions=subscriptions,
        memory=(yield from records.remembered_prices(unnamed)) if unnamed else {},
        customer_id=user.customer_id,
        trial_used=user.trial_used_at is not None,
        checkout_until=(yield from _checkout_until(user_id, subscriptions)),
    )
    holding = hold(holder, unit.catalogue, unit.now)
    first = holding.customers[0] if holding.customers else None
    if first is not None and first == user.customer_id:
        return holding  # it was looked at when it became theirs, and is dropped where that ends
    barred, customer_id = yield from _portal_customer(holding, candidates)
    return hold(replace(holder, barred=barred, customer_id=customer_id), unit.catalogue, unit.now)


def _portal_customer(holding: Holding, candidates: Iterable[str]) -> Work[tuple[frozenset[str], str | None]]:
    """Find the customer whose portal is this user's; returns those that are not, and the one that is.

    First the customers of what they hold, then the one that is stored, then those that became theirs, and at last
    whatever a checkout made for them.
    """
    holder = holding.holder
    held = {one.customer_id for one in holding.ours}
    barred: set[str] = set()
    for candidate in dict.fromkeys([*holding.customers, *candidates]):
        if candidate == holder.customer_id or (yield from may_manage(holder.user_id, candidate, candidate in held)):
            return frozenset(barred), candidate
        barred.add(candidate)
    for candidate in (yield from records.customers_of_user(holder.user_id)):
        if candidate not in barred and (yield from may_manage(holder.user_id, candidate, candidate in held)):
            return frozenset(barred), candidate
    return frozenset(barred), None


def may_manage(user_id: str, customer_id: str, holds_ours: bool) -> Work[bool]:
    """Whether a user may open a customer's portal.

    It is not deleted, no other user has it, and it is ours: a checkout made it for this user, or it holds a
    subscription of ours (`holds_ours`).  That its metadata names the user is not enough: others write metadata too.
    """
    customer = (yield from records.customer(customer_id)) or Customer(customer_id)
    if customer.deleted or (customer.owner or user_id) != user_id:
        return False
    if not holds_ours and customer.checkout_user_id != user_id:
        return False
    return (yield from records.users_sharing_customer(customer_id)) <= {user_id}


def _checkout_until(user_id: str, subscriptions: list[Subscription]) -> Work[int | None]:
    if all(subscription.state is not State.INCOMPLETE for subscription in subscriptions):
        return None
    session = yield from records.open_checkout(user_id)
    return session.expires_at if session else None
