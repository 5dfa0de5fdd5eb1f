"""Users, their customers and their checkouts, as they are stored."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from interlock.engine.core.states import Subscription
from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.units.records.subscriptions import subscription_from

_S: Final = STATEMENTS

# --- customers -------------------------------------------------------------------------------------------


class Customer(Struct, frozen=True):
    """One customer.  `user_id` is the user whom its metadata names, `checkout_user_id` whom a checkout made it for.

    `as_of` is the latest moment, on Stripe's clock, of which the metadata is known.
    """

    customer_id: str
    user_id: str | None = None
    checkout_user_id: str | None = None
    as_of: int = -1
    deleted: int = 0

    @property
    def owner(self) -> str | None:
        """Whose it is."""
        return self.user_id or self.checkout_user_id


_save_customer: Final = _S["customer_put"].taking(Customer)


def customer(customer_id: str | None) -> Work[Customer | None]:
    """Read one customer and lock it, where the database locks rows."""
    rows = yield _S["customer_get"], (customer_id,)
    return Customer(*rows[0]) if rows else None


def save_customer(one: Customer) -> Work[None]:
    """Write one customer."""
    yield _save_customer(one)


def customers_of_user(user_id: str) -> Work[list[str]]:
    """Read the ids of the customers that are a user's and not deleted."""
    return [row[0] for row in (yield _S["customer_of_user"], (user_id,))]


def customers_ever_of_user(user_id: str) -> Work[list[str]]:
    """Read the ids of all customers that were made for a user, or name them."""
    return [row[0] for row in (yield _S["customer_ids_of_user"], (user_id,))]


# --- users -------------------------------------------------------------------------------------------------


class User(Struct, frozen=True):
    """One user's row.

    `shown` is the JSON that they read, drawn with the plan catalogue of digest `catalogue`; the clock alone changes
    it at `shown_until`.  `customer_id` is the customer that checkout and portal use; `customer_serial` rises when
    it was deleted in Stripe, `checkout_serial` when a checkout ends.
    """

    user_id: str
    version: int
    shown: bytes | None
    shown_until: int | None
    catalogue: str | None
    updated_at: int
    customer_id: str | None
    customer_serial: int
    checkout_serial: int
    trial_used_at: int | None


class Projected(Struct, frozen=True):
    """What the projection writes of a user."""

    user_id: str
    version: int
    shown: bytes | None
    shown_until: int | None
    catalogue: str
    supplies: bytes
    updated_at: int
    customer_id: str | None
    trial_used_at: int | None


class UserToProject(Struct, frozen=True):
    """What the projection needs of a user."""

    version: int
    shown: bytes | None
    updated_at: int
    customer_id: str | None
    trial_used_at: int | None
    subscriptions: list[Subscription]


def user(user_id: str) -> Work[User | None]:
    """Read one user without locking the row."""
    rows = yield _S["users_get"], (user_id,)
    return User(*rows[0]) if rows else None


def user_locked(user_id: str) -> Work[User]:
    """Read one user and lock the row, where the database locks rows; one never seen is made."""
    rows = yield _S["users_lock"], (user_id,)
    if not rows:
        yield _S["users_ensure"], (user_id,)
        rows = yield _S["users_lock"], (user_id,)
    return User(*rows[0])


def user_for_projection(user_id: str) -> Work[UserToProject]:
    """Read one user, locked, with all their subscriptions; one never seen is made."""
    rows = yield _S["users_draw"], (user_id,)
    if not rows:
        yield _S["users_ensure"], (user_id,)
        rows = yield _S["users_draw"], (user_id,)
    return UserToProject(
        *rows[0][:5], subscriptions=[subscription_from(*row[5:]) for row in rows if row[5] is not None]
    )


def save_projection(one: Projected, before: UserToProject) -> Work[None]:
    """Write what a user is shown.  Customer and trial seldom change: then no index but the clock's is touched."""
    columns = msgspec.structs.asdict(one)
    if (one.customer_id, one.trial_used_at) == (before.customer_id, before.trial_used_at):
        del columns["customer_id"], columns["trial_used_at"]
        yield _S["users_update"](**columns)
    else:
        yield _S["users_show"](**columns)


def set_customer(user_id: str, customer_id: str) -> Work[None]:
    """Set the customer that a user's checkout and portal use."""
    yield _S["users_set_customer"](user_id=user_id, customer_id=customer_id)


def users_of_customer(customer_id: str) -> Work[list[str]]:
    """Read the users whose portal opens this customer."""
    return [row[0] for row in (yield _S["users_of_customer"], (customer_id,))]


def drop_customer(user_id: str) -> Work[None]:
    """Take the customer away from a user; the next checkout makes another."""
    yield _S["users_drop_customer"], (user_id,)


def next_checkout(user_id: str) -> Work[None]:
    """A checkout of the user's ended: the next is another intent."""
    yield _S["users_next_checkout"], (user_id,)


def users_due(now: int) -> Work[list[str]]:
    """Read up to 100 users whose state the clock alone has changed."""
    return [row[0] for row in (yield _S["users_due"], (now,))]


# --- checkouts -------------------------------------------------------------------------------------------


class OpenCheckout(Struct, frozen=True):
    """A user's open checkout session.  `intent` is what was asked for: plan, quantity, promotion code."""

    session_id: str
    intent: str
    url: str
    expires_at: int


def open_checkout(user_id: str) -> Work[OpenCheckout | None]:
    """Read the open checkout session of a user."""
    rows = yield _S["checkout_open"], (user_id,)
    return OpenCheckout(*rows[0]) if rows else None


def open_checkouts() -> Work[list[str]]:
    """Read the ids of all open checkout sessions."""
    return [row[0] for row in (yield _S["checkout_all_open"], ())]


def add_checkout(user_id: str, session: OpenCheckout) -> Work[None]:
    """Store an open checkout session."""
    yield _S["checkout_put"](user_id=user_id, **msgspec.structs.asdict(session))


def close_checkout(session_id: str, status: str) -> Work[str | None]:
    """Close a checkout session (`complete` or `expired`); returns whose it was, None where it was not open."""
    rows = yield _S["checkout_close"](session_id=session_id, status=status)
    return rows[0][0] if rows else None
