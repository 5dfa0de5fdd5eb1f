"""What is sent.  Everything follows from a number, so a slice of a run can go on where the last one ended."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import time
from typing import Any, Final

import jwt
import msgspec

SECRET: Final = "whsec_of_the_bench_0123456789abcdef"
JWT_SECRET: Final = "of-the-bench-0123456789-0123456789-0123456789"
BEGIN: Final = 1_790_000_000
MONTH: Final = 2_592_000


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What one slice sends.  `stored`: how many subscriptions there are, of which `subscriptions` are spoken of.

    `kind`: `webhook`, `read`, `unchanged` (a read that is answered 304).  `ports`: one for each node; `apart`: all of
    one subscription goes to one node, else to any.  `owners`: how many customers and users share the subscriptions;
    none: each subscription has its own.  `first`: the number of the first subscription, so that rows on one database
    do not meet.
    """

    kind: str
    path: str
    ports: tuple[int, ...]
    apart: bool = False
    owners: int = 0
    first: int = 0
    starts: tuple[int, ...] = (0,)
    count: int = 1000
    subscriptions: int = 2000
    stored: int = 0
    connections: int = 32
    seconds: float = 3.0

    @property
    def shares(self) -> int:
        """How many sequences of requests there are: one for each node, or one that all nodes take from."""
        return len(self.ports) if self.apart else 1

    def place(self, position: int, share: int = 0) -> tuple[int, int]:
        """The subscription at a position of a share, and its step.

        Those that are spoken of lie evenly among those that are stored.
        """
        of_share = self.subscriptions // self.shares
        number = position % of_share * self.shares + share
        return self.first + number * max(1, self.stored // self.subscriptions), position // of_share


def name(prefix: str, *of: int) -> str:
    """An id as random as Stripe's are, so that keys fall all over an index."""
    return f"{prefix}_{hashlib.blake2b(repr(of).encode(), digest_size=12).hexdigest()}"


def user(number: int) -> str:
    return f"user_{number:07d}"


def customer(number: int) -> str:
    return name("cus", number)


def subscription(number: int) -> str:
    return name("sub", number)


def token(user_id: str) -> str:
    """A user's token; the same all day, as a browser sends one for as long as it holds."""
    return jwt.encode({"sub": user_id, "exp": int(time.time()) // 86_400 * 86_400 + 172_800}, JWT_SECRET, "HS256")


def subscription_at(step: int) -> dict[str, Any]:
    """A subscription's object after `step` changes: quantity, renewal, a failed payment, its recovery, and again.

    Ids are left open, as `%(name)b`: a body is made of its template by one formatting, not by a serialization.
    """
    return {
        "id": "%(sub)b",
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": BEGIN,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": BEGIN,
        "currency": "usd",
        "customer": "%(cus)b",
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": "%(pm)b",
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [_item(step)],
            "has_more": False,
            "total_count": 1,
            "url": "/v1/subscription_items?subscription=%(sub)b",
        },
        "latest_invoice": "%(in)b",
        "livemode": False,
        "metadata": {"user_id": "%(user)b"},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "quantity": _quantity(step),
        "schedule": None,
        "start_date": BEGIN,
        "status": _status(step),
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    }


def _status(step: int) -> str:
    return "past_due" if step % 4 == 3 else "active"


def _quantity(step: int) -> int:
    return 1 + (step + 3) // 4


def _renewals(step: int) -> int:
    return (step + 2) // 4


def _item(step: int) -> dict[str, Any]:
    price = {
        "id": "price_pro",
        "object": "price",
        "active": True,
        "created": BEGIN,
        "livemode": False,
        "metadata": {},
        "product": "prod_bench",
        "billing_scheme": "per_unit",
        "currency": "usd",
        "custom_unit_amount": None,
        "lookup_key": None,
        "nickname": None,
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 2000,
        "unit_amount_decimal": "2000",
    }
    return {
        "id": "%(si)b",
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": BEGIN,
        "current_period_end": BEGIN + MONTH * (1 + _renewals(step)),
        "current_period_start": BEGIN + MONTH * _renewals(step),
        "discounts": [],
        "metadata": {},
        "price": price,
        "quantity": _quantity(step),
        "subscription": "%(sub)b",
        "tax_rates": [],
    }


def _previous(step: int) -> dict[str, Any]:
    """What Stripe says had another value before this step."""
    match step % 4:
        case 1:
            return {"items": {"data": [_item(step - 1)]}, "quantity": _quantity(step - 1)}
        case 2:
            items = {"data": [_item(step - 1)]}
            return {"items": items, "latest_invoice": "%(before)b"}
        case _:
            return {"status": _status(step - 1)}


def event_id(number: int, step: int) -> str:
    return name("evt", number, step)


@functools.lru_cache
def _template(step: int) -> bytes:
    data: dict[str, Any] = {"object": subscription_at(step)}
    if step:
        data["previous_attributes"] = _previous(step)
    whole = {
        "id": "%(evt)b",
        "object": "event",
        "api_version": "2025-08-27.basil",
        "created": BEGIN + 60 * step,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "%(req)b", "idempotency_key": None},
        "type": f"customer.subscription.{'updated' if step else 'created'}",
    }
    return json.dumps(whole, indent=2).encode()


def event(number: int, step: int, owner: int | None = None) -> bytes:
    """The body of one event, indented as Stripe sends it: step 0 creates, each further one changes."""
    return filled(_template(step), number, step, owner)


def filled(template: bytes, number: int, step: int, owner: int | None = None) -> bytes:
    """A template with the ids of one subscription at one step; its customer and user are those of `owner`."""
    owner = number if owner is None else owner
    ids = {
        "sub": subscription(number),
        "cus": customer(owner),
        "user": user(owner),
        "pm": name("pm", number),
        "si": name("si", number),
        "in": name("in", number, _renewals(step)),
        "before": name("in", number, _renewals(step - 1)),
        "evt": event_id(number, step),
        "req": name("req", number, step),
    }
    return template % {key.encode(): value.encode() for key, value in ids.items()}


def signature(body: bytes) -> str:
    now = int(time.time())
    digest = hmac.digest(SECRET.encode(), b"%d.%b" % (now, body), hashlib.sha256).hex()
    return f"t={now},v1={digest}"


def requests(traffic: Traffic, share: int = 0) -> list[bytes]:
    """Every request of a share of a slice, ready for the socket."""
    start = traffic.starts[share]
    positions = range(start, start + traffic.count // traffic.shares)
    if traffic.kind == "webhook":
        return [_webhook(traffic, *traffic.place(position, share)) for position in positions]
    reads = [_read(traffic, traffic.place(position)[0]) for position in range(traffic.subscriptions)]
    return [reads[position % traffic.subscriptions] for position in positions]


def _webhook(traffic: Traffic, number: int, step: int) -> bytes:
    owner = traffic.first + number % traffic.owners if traffic.owners else None
    body = event(number, step, owner)
    head = (
        f"POST {traffic.path} HTTP/1.1\r\nHost: 127.0.0.1:{traffic.ports[0]}\r\nContent-Type: application/json; "
        f"charset=utf-8\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nAccept: */*; q=0.5, "
        f"application/xml\r\nContent-Length: {len(body)}\r\nStripe-Signature: {signature(body)}\r\n\r\n"
    )
    return head.encode() + body


def _read(traffic: Traffic, number: int) -> bytes:
    return (
        f"GET {traffic.path} HTTP/1.1\r\nHost: 127.0.0.1:{traffic.ports[0]}\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {token(user(number))}\r\n\r\n"
    ).encode()


def conditional(request: bytes, etag: bytes) -> bytes:
    """The same read by somebody who has that version already."""
    return request[:-2] + b"If-None-Match: " + etag + b"\r\n\r\n"
