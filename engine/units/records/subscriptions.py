"""Subscriptions and their invoices, as they are stored."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from interlock.engine.core.dates import next_check
from interlock.engine.core.invoices import Invoice
from interlock.engine.core.states import Billing, Facts, Subscription
from interlock.engine.store import Row, Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS
_facts: Final = msgspec.json.Decoder(Facts)
_billing: Final = msgspec.json.Decoder(Billing)
_NO_BILLING: Final = Billing()


class StoredSubscription(Struct, frozen=True):
    """What is known of one subscription, and whose it is.

    `unknown_prices` are those that no plan sells or ever sold, with commas; None once it has ended.
    """

    known: Subscription
    user_id: str | None
    unknown_prices: str | None = None


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
    *columns, user_id, unknown_prices = rows[0]
    return StoredSubscription(subscription_from(*columns), user_id, unknown_prices)


def subscription_from(
    subscription_id: str,
    facts: bytes | None,
    as_of: int,
    evidence: int,
    since: int,
    unpaid_since: int | None,
    unknown_status: str | None,
    billing: bytes | None,
    missing_since: int | None,
) -> Subscription:
    return Subscription(
        subscription_id=subscription_id,
        facts=None if facts is None else _facts.decode(facts),
        as_of=as_of,
        evidence=evidence,
        since=since,
        unpaid_since=unpaid_since,
        billing=_NO_BILLING if billing is None else _billing.decode(billing),
        unknown_status=unknown_status,
        missing_since=missing_since,
    )


def save_subscription(stored: StoredSubscription, before: StoredSubscription | None = None) -> Work[None]:
    """Write one subscription.  Where customer and user are those of `before`, only unindexed columns are updated."""
    after, facts = stored.known, stored.known.facts
    columns: dict[str, Any] = {
        "subscription_id": after.subscription_id,
        "state": after.state.value,
        "as_of": after.as_of,
        "evidence": after.evidence,
        "since": after.since,
        "unpaid_since": after.unpaid_since,
        "unknown_status": after.unknown_status,
        "facts": msgspec.json.encode(facts) if facts else None,
        "billing": msgspec.json.encode(after.billing) if after.billing != _NO_BILLING else None,
        "missing_since": after.missing_since,
        "check_at": next_check(after),
        "unknown_prices": stored.unknown_prices,
    }
    customer_id = facts.customer_id if facts else None
    whose = (customer_id, stored.user_id)
    known = before.known.facts if before is not None else None
    if before is not None and known is not None and (known.customer_id, before.user_id) == whose:
        yield _S["subscription_update"](**columns)
    else:
        yield _S["subscription_put"](**columns, customer_id=customer_id, user_id=stored.user_id)


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


def subscriptions_to_check(now: int) -> Work[list[str]]:
    """Read which subscriptions are to be asked about because a date of theirs has passed; at most 100."""
    return [row[0] for row in (yield _S["subscription_to_check"], (now,))]


def subscriptions_of_unknown_price(after: str) -> Work[list[tuple[str, str]]]:
    """Read a page of living subscriptions with unknown prices, and which (with commas)."""
    rows = yield _S["subscription_unknown"], (after,)
    return [(subscription_id, prices) for subscription_id, prices in rows]


_save_invoice: Final = _S["bill_put"].taking(Invoice)


def _invoice_from(row: Row) -> Invoice:
    columns: dict[str, Any] = dict(zip(Invoice.__struct_fields__, row, strict=True))
    columns["is_first"] = bool(columns["is_first"])  # the databases keep 0 and 1
    return Invoice(**columns)


def invoice(invoice_id: str) -> Work[Invoice | None]:
    """Read one invoice."""
    rows = yield _S["bill_get"], (invoice_id,)
    return _invoice_from(rows[0]) if rows else None


def invoices_of(subscription_id: str) -> Work[list[Invoice]]:
    """Read the newest invoices of a subscription, at most 24."""
    return [_invoice_from(row) for row in (yield _S["bill_of_subscription"], (subscription_id,))]


def save_invoice(invoice: Invoice) -> Work[None]:
    """Write one invoice."""
    yield _save_invoice(invoice)
