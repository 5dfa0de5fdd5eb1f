"""Subscriptions and their invoices, as they are stored."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from interlock.engine.core.invoices import Bill
from interlock.engine.core.states import Facts, Subscription
from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS
_facts: Final = msgspec.json.Decoder(Facts)


class StoredSubscription(Struct, frozen=True):
    """What is known of one subscription, and whose it is."""

    known: Subscription
    user_id: str | None


class StoredFacts(Struct, frozen=True):
    """The facts of one subscription and whose it is, read without a lock; both None where it is not stored."""

    facts: Facts | None = None
    user_id: str | None = None


def subscription(subscription_id: str) -> Work[StoredSubscription]:
    """Read one subscription and lock it, where the database locks rows; one never seen is an empty one."""
    rows = yield _S["subscription_get"], (subscription_id,)
    if not rows:
        yield _S["subscription_start"], (subscription_id,)
        rows = yield _S["subscription_get"], (subscription_id,)
    *columns, user_id = rows[0]
    return StoredSubscription(subscription_from(*columns), user_id)


def subscription_from(
    subscription_id: str,
    facts: bytes | None,
    as_of: int,
    evidence: int,
    since: int,
    unpaid_since: int | None,
    unknown_status: str | None,
) -> Subscription:
    return Subscription(
        subscription_id=subscription_id,
        facts=None if facts is None else _facts.decode(facts),
        as_of=as_of,
        evidence=evidence,
        since=since,
        unpaid_since=unpaid_since,
        unknown_status=unknown_status,
    )


def save_subscription(after: Subscription, user_id: str | None, before: StoredSubscription | None = None) -> Work[None]:
    """Write one subscription.  Where customer and user are those of `before`, only unindexed columns are updated."""
    facts = after.facts
    columns: dict[str, Any] = {
        "subscription_id": after.subscription_id,
        "state": after.state.value,
        "as_of": after.as_of,
        "evidence": after.evidence,
        "since": after.since,
        "unpaid_since": after.unpaid_since,
        "unknown_status": after.unknown_status,
        "facts": msgspec.json.encode(facts) if facts else None,
    }
    customer_id = facts.customer_id if facts else None
    known = before.known.facts if before is not None else None
    if before is not None and known is not None and (known.customer_id, before.user_id) == (customer_id, user_id):
        yield _S["subscription_update"](**columns)
    else:
        yield _S["subscription_put"](**columns, customer_id=customer_id, user_id=user_id)


def subscriptions_of_user(user_id: str) -> Work[list[Subscription]]:
    """Read all subscriptions of a user."""
    return [subscription_from(*row) for row in (yield _S["subscription_of_user"], (user_id,))]


def subscriptions_of_customer(customer_id: str | None) -> Work[list[str]]:
    """Read the ids of all subscriptions of a customer."""
    return [row[0] for row in (yield _S["subscription_of_customer"], (customer_id,))]


def users_sharing_customer(customer_id: str) -> Work[set[str]]:
    """Read which users hold subscriptions of a customer."""
    return {row[0] for row in (yield _S["subscription_users_of_customer"], (customer_id,))} - {None}


def living_subscriptions(after: str, limit: int) -> Work[list[str]]:
    """Read a page of the ids of the subscriptions that have not ended."""
    return [row[0] for row in (yield _S["subscription_living"](after=after, limit=limit))]


def stored_facts(subscription_id: str) -> Work[StoredFacts]:
    """Read the facts of one subscription without locking it."""
    rows = yield _S["subscription_peek"], (subscription_id,)
    if not rows:
        return StoredFacts()
    facts, user_id = rows[0]
    return StoredFacts(_facts.decode(facts) if facts else None, user_id)


def evidence_of(subscription_id: str) -> Work[int]:
    """Read a subscription's count of evidence without locking it; what arrives later is counted later."""
    rows = yield _S["subscription_evidence"], (subscription_id,)
    return rows[0][0] if rows else 0


_save_invoice: Final = _S["bill_put"].taking(Bill)


def invoice(invoice_id: str) -> Work[Bill | None]:
    """Read one invoice."""
    rows = yield _S["bill_get"], (invoice_id,)
    return Bill(**dict(zip(Bill.__struct_fields__, rows[0], strict=True))) if rows else None


def save_invoice(bill: Bill) -> Work[None]:
    """Write one invoice."""
    yield _save_invoice(bill)


def owed_since(subscription_id: str) -> Work[int | None]:
    """Read when the oldest open invoice of a subscription first failed, None where none did."""
    rows = yield _S["bill_owed_since"], (subscription_id,)
    return rows[0][0]
