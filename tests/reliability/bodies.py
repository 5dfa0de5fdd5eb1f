"""Stripe's JSON as it comes over the wire, in the shapes of three API versions.

Made by hand from Stripe's changelog, apart from the sandbox, so that a fault there is not repeated here.
"""

from __future__ import annotations

import json
from typing import Any, Final

Obj = dict[str, Any]

OLD, MIDDLE, NEW = "2020-08-27", "2024-04-10", "2026-10-28.endive"
VERSIONS: Final = (OLD, MIDDLE, NEW)
MONTH: Final = 30 * 86_400
START: Final = 1_780_000_000
"""When the stories begin."""


def subscription(
    version: str = NEW,
    *,
    id: str = "sub_1",  # noqa: A002 - Stripe's word
    customer: str | Obj = "cus_1",
    status: str = "active",
    user: str | None = "u_1",
    created: int = START,
    period_end: int = START + MONTH,
    quantity: int = 1,
    price: str = "price_pro",
    method: str = "charge_automatically",
    trial_end: int | None = None,
    cancel_at: int | None = None,
    ended_at: int | None = None,
    pause: Obj | None = None,
    latest_invoice: str | Obj | None = None,
) -> Obj:
    """Return a subscription object.  `cancel_at` is its period's end, so the boolean goes with it."""
    item: Obj = {
        "id": f"si_{id}",
        "object": "subscription_item",
        "price": {"id": price, "object": "price", "currency": "usd", "lookup_key": None, "unit_amount": 1900},
        "quantity": quantity,
        "subscription": id,
    }
    body: Obj = {
        "id": id,
        "object": "subscription",
        "cancel_at": cancel_at,
        "cancel_at_period_end": cancel_at is not None,
        "collection_method": method,
        "created": created,
        "customer": customer,
        "ended_at": ended_at,
        "items": {
            "object": "list",
            "data": [item],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={id}",
        },
        "latest_invoice": latest_invoice,
        "livemode": False,
        "metadata": {"user_id": user} if user else {},
        "pause_collection": pause,
        "status": status,
        "trial_end": trial_end,
    }
    if version == NEW:
        item |= {"current_period_end": period_end, "current_period_start": period_end - MONTH, "discounts": []}
        return body | {
            "billing_mode": {"type": "flexible"},
            "discounts": [],
            "status_details": None,
            "test_clock": None,
        }
    plan: Obj = {"id": price, "object": "plan", "amount": 1900, "currency": "usd", "interval": "month"}
    item |= {"plan": plan}
    body |= {
        "current_period_end": period_end,
        "current_period_start": period_end - MONTH,
        "plan": plan,
        "discount": None,
    }
    return body | (
        {"quantity": quantity} if version == OLD else {"test_clock": None, "automatic_tax": {"enabled": False}}
    )


def invoice(
    version: str = NEW,
    *,
    id: str = "in_1",  # noqa: A002 - Stripe's word
    subscription: str = "sub_1",
    customer: str = "cus_1",
    status: str = "open",
    created: int = START,
    attempts: int = 1,
    finalized_at: int | None = None,
) -> Obj:
    """Return an invoice object."""
    body: Obj = {
        "id": id,
        "object": "invoice",
        "attempt_count": attempts,
        "created": created,
        "customer": customer,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{id}",
        "livemode": False,
        "next_payment_attempt": None,
        "status": status,
        "status_transitions": {"finalized_at": finalized_at or created, "paid_at": None},
    }
    if version == NEW:
        details: Obj = {"subscription": subscription, "metadata": {}}
        return body | {
            "parent": {"type": "subscription_details", "subscription_details": details, "quote_details": None}
        }
    body |= {"subscription": subscription, "paid": status == "paid", "charge": None, "payment_intent": None}
    return body if version == OLD else body | {"rendering": None, "test_clock": None}


def customer(*, id: str = "cus_1", user: str | None = None) -> Obj:  # noqa: A002 - Stripe's word
    """Return a customer object."""
    return {"id": id, "object": "customer", "livemode": False, "metadata": {"user_id": user} if user else {}}


def difference(before: Obj, after: Obj) -> Obj:
    """Return `previous_attributes`: the old value of what changed; hashes in part, arrays whole."""
    old: Obj = {}
    for key in before.keys() | after.keys():
        was, now = before.get(key), after.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            if was != now:
                old[key] = difference(was, now)  # pyright: ignore[reportUnknownArgumentType]
        elif was != now:
            old[key] = was
    return dict(sorted(old.items()))


def event(
    type: str,  # noqa: A002 - Stripe's word
    created: int,
    body: Obj,
    *,
    id: str = "evt_1",  # noqa: A002 - Stripe's word
    before: Obj | None = None,
    version: str = NEW,
) -> bytes:
    """Return an event's bytes; `before` is the object as it was, for an update."""
    data: Obj = {"object": body}
    if before is not None:
        data["previous_attributes"] = difference(before, body)
    whole: Obj = {
        "id": id,
        "object": "event",
        "api_version": version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }
    return json.dumps(whole).encode()
