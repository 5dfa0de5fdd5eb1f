"""Stripe's objects and events as it sends them, in any API version, for tests.

`Sub`, `Bill` and `Buyer` say what is so; `json(version)` writes it in the words of one version.  `Life` is one
subscription as it moves: each step changes the truth and returns the event that announces it.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

Obj = dict[str, Any]

OLDEST: Final = "2020-08-27"
NEWEST: Final = "2026-10-28.endive"
VERSIONS: Final = (OLDEST, "2022-11-15", "2024-04-10", "2025-03-31.basil", NEWEST)
BASIL: Final = "2025-03-31"
T0: Final = 1_790_000_000
DAY: Final = 86_400
MONTH: Final = 30 * DAY
CREATED: Final = "customer.subscription.created"
UPDATED: Final = "customer.subscription.updated"
DELETED: Final = "customer.subscription.deleted"

_run: Final = os.urandom(4).hex()
_numbers: Final = itertools.count(1)


def fresh(prefix: str) -> str:
    """Return an id that nothing else has, in this run or another."""
    return f"{prefix}_{_run}{next(_numbers):06d}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One item of a subscription."""

    price: str = "price_pro"
    quantity: int = 1
    ends: int = T0 + MONTH
    lookup_key: str | None = None
    product: str = "prod_1"
    interval: str = "month"

    def json(self, version: str, number: int = 0) -> Obj:
        recurring: Obj = {"interval": self.interval, "interval_count": 1, "usage_type": "licensed"}
        price: Obj = {
            "id": self.price, "object": "price", "lookup_key": self.lookup_key, "product": self.product,
            "unit_amount": 2900, "currency": "usd", "recurring": recurring,
        }  # fmt: skip
        item: Obj = {"id": f"si_{number}", "object": "subscription_item", "price": price, "quantity": self.quantity}
        if version < "2025":
            return item | {"plan": {"id": self.price, "object": "plan", "amount": 2900}}
        return item | {"current_period_start": self.ends - MONTH, "current_period_end": self.ends}


@dataclass(frozen=True, kw_only=True)
class Sub:
    """What is so of one subscription."""

    id: str = "sub_1"
    customer: str = "cus_1"
    status: str = "active"
    created: int = T0
    user: str | None = "u_1"
    lines: tuple[Line, ...] = (Line(),)
    trial_end: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    ended_at: int | None = None
    pause_collection: Obj | None = None
    collection_method: str = "charge_automatically"
    latest_invoice: str | None = "in_1"
    livemode: bool = False
    schedule: str | None = None
    pending_update: Obj | None = None
    cancellation_details: Obj | None = None
    default_payment_method: str | None = None
    has_more: bool = False

    def json(self, version: str = NEWEST) -> Obj:
        """The object in one API version's words."""
        shown: Obj = {
            "id": self.id, "object": "subscription", "status": self.status, "customer": self.customer,
            "created": self.created, "currency": "usd", "livemode": self.livemode,
            "metadata": {} if self.user is None else {"user_id": self.user},
            "items": {
                "object": "list", "has_more": self.has_more, "total_count": len(self.lines) + self.has_more,
                "url": f"/v1/subscription_items?subscription={self.id}",
                "data": [line.json(version, number) for number, line in enumerate(self.lines)],
            },
            "trial_end": self.trial_end, "cancel_at": self.cancel_at,
            "cancel_at_period_end": self.cancel_at_period_end, "canceled_at": None, "ended_at": self.ended_at,
            "pause_collection": self.pause_collection, "collection_method": self.collection_method,
            "latest_invoice": self.latest_invoice, "test_clock": None, "default_tax_rates": [],
            "schedule": self.schedule, "pending_update": self.pending_update,
            "cancellation_details": self.cancellation_details,
            "default_payment_method": self.default_payment_method,
        }  # fmt: skip
        if version < "2025":
            end = min((line.ends for line in self.lines), default=None)
            shown |= {"current_period_start": end and end - MONTH, "current_period_end": end, "discount": None}
        else:
            shown |= {"discounts": [], "billing_mode": {"type": "flexible"}}
        return shown


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What is so of one invoice."""

    id: str = "in_1"
    subscription: str | None = "sub_1"
    customer: str = "cus_1"
    status: str = "open"
    created: int = T0
    attempts: int = 0
    finalized_at: int | None = None
    next_attempt: int | None = None
    failure_code: str | None = None

    def json(self, version: str = NEWEST) -> Obj:
        """The object in one API version's words."""
        shown: Obj = {
            "id": self.id, "object": "invoice", "customer": self.customer, "status": self.status,
            "created": self.created, "attempt_count": self.attempts, "attempted": self.attempts > 0,
            "next_payment_attempt": self.next_attempt, "livemode": False,
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{self.id}",
            "status_transitions": {"finalized_at": self.finalized_at, "paid_at": None},
            "last_finalization_error": None,
        }  # fmt: skip
        if version < "2025":
            error = {"code": "card_declined", "decline_code": self.failure_code} if self.failure_code else None
            intent = {"id": "pi_1", "object": "payment_intent", "last_payment_error": error}
            paid = {"paid": self.status == "paid", "subscription": self.subscription}
            return shown | paid | {"payment_intent": intent if error else "pi_1"}
        details: Obj = {"subscription": self.subscription, "metadata": {}}
        parent: Obj = {"type": "subscription_details", "quote_details": None, "subscription_details": details}
        return shown | {"parent": parent if self.subscription else None}


def session(
    *, subscription: str | None = "sub_1", customer: str | None = "cus_1", user: str | None = "u_1", **changes: Any
) -> Obj:
    """Return a checkout session."""
    shown: Obj = {
        "id": "cs_test_1", "object": "checkout.session", "mode": "subscription", "status": "complete",
        "payment_status": "paid", "customer": customer, "subscription": subscription,
        "client_reference_id": user, "metadata": {}, "url": None, "expires_at": T0 + DAY, "livemode": False,
    }  # fmt: skip
    return shown | changes


def customer(id_: str = "cus_1", *, user: str | None = None, **changes: Any) -> Obj:
    """Return a customer."""
    metadata: Obj = {} if user is None else {"user_id": user}
    return {"id": id_, "object": "customer", "metadata": metadata, "livemode": False} | changes


def event(
    type_: str,
    obj: Obj,
    *,
    created: int = T0,
    previous: Obj | None = None,
    version: str = NEWEST,
    **envelope: Any,
) -> Obj:
    """Return an event about an object."""
    data: Obj = {"object": obj} if previous is None else {"object": obj, "previous_attributes": previous}
    return {
        "id": fresh("evt"), "object": "event", "api_version": version, "created": created, "livemode": False,
        "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type_, "data": data,
    } | envelope  # fmt: skip


def body_of(an_event: Obj) -> bytes:
    """Write an event as Stripe does: indented, UTF-8."""
    return json.dumps(an_event, indent=2, ensure_ascii=False).encode()


def signed(body: bytes, secret: str, at: float) -> str:
    """Sign a body with the stripe SDK's own hand: the oracle for our own check."""
    from stripe import WebhookSignature  # half a second's import, for this oracle alone

    make = cast("Callable[[str, str, int], str]", WebhookSignature.generate_signature_header)  # pyright: ignore
    return make(body.decode(), secret, int(at))


def previous_attributes(before: Obj, after: Obj) -> Obj:
    """Return what Stripe says changed: of a hash only the keys that did, of a list all of it."""
    changed: Obj = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name in ("metadata", "pause_collection") and isinstance(old, dict) and isinstance(new, dict):
            keys: set[str] = {*old, *new}  # pyright: ignore[reportUnknownArgumentType]
            changed[name] = {key: old.get(key) for key in keys if old.get(key) != new.get(key)}  # pyright: ignore
        else:
            changed[name] = old
    return changed


@dataclass
class Life:
    """One subscription as it moves; `sub` is the truth now, `told` every event so far, in Stripe's order."""

    sub: Sub
    version: str = NEWEST
    told: list[Obj] = field(default_factory=list[Obj])

    def create(self, *, at: int | None = None) -> Obj:
        return self._tell(event(CREATED, self.sub.json(self.version), created=at or self.sub.created))

    def update(self, at: int, **changes: Any) -> Obj:
        """Change it, and say what it was."""
        before = self.sub.json(self.version)
        self.sub = replace(self.sub, **changes)
        after = self.sub.json(self.version)
        return self._tell(event(UPDATED, after, created=at, previous=previous_attributes(before, after)))

    def end(self, at: int, **changes: Any) -> Obj:
        """End it as Stripe does: one event, no word of what it was."""
        self.sub = replace(self.sub, **({"status": "canceled", "ended_at": at} | changes))
        return self.say("deleted", at)

    def say(self, name: str, at: int, **changes: Any) -> Obj:
        """Tell an event that carries the whole subscription (`paused`, `resumed`, …)."""
        self.sub = replace(self.sub, **changes)
        return self._tell(event(f"customer.subscription.{name}", self.sub.json(self.version), created=at))

    def bill(self, name: str, at: int, *, status: str, **fields: Any) -> Obj:
        """Tell an event of the latest invoice (`paid`, `payment_failed`, …)."""
        given: Obj = {"id": self.sub.latest_invoice or "in_none", "created": at} | fields
        bill = Bill(subscription=self.sub.id, customer=self.sub.customer, status=status, **given)
        return self._tell(event(f"invoice.{name}", bill.json(self.version), created=at))

    def _tell(self, told: Obj) -> Obj:
        told["api_version"] = self.version
        self.told.append(told)
        return told


def subscription_event(
    user_id: str, *, sub_id: str = "sub_1", status: str = "active", event_id: str = "evt_1", created: int = 0
) -> Obj:
    """Return a `customer.subscription.created`, of now unless said otherwise, about a subscription of this user."""
    created = created or int(time.time())
    lines = (Line(ends=created + MONTH),)
    sub = Sub(id=sub_id, customer=f"cus_of_{sub_id}", user=user_id, status=status, created=created, lines=lines,
              latest_invoice=None)  # fmt: skip
    return event(CREATED, sub.json(), created=created, id=event_id)
