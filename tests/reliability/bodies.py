"""The kit's objects of Stripe as plain functions, for stories that change one field at a time."""

from __future__ import annotations

from typing import Any, Final

from tests.kit import bodies
from tests.kit.bodies import MONTH, Bill, Line, Obj, Sub, body_of, previous_attributes

__all__ = ["MONTH", "NEW", "START", "VERSIONS", "Obj", "customer", "event", "invoice", "subscription"]

OLD, MIDDLE, NEW = bodies.OLDEST, "2024-04-10", bodies.NEWEST
VERSIONS: Final = (OLD, MIDDLE, NEW)
START: Final = 1_780_000_000
"""When the stories begin."""


def subscription(
    version: str = NEW,
    *,
    customer: str | Obj = "cus_1",
    period_end: int = START + MONTH,
    quantity: int = 1,
    price: str = "price_pro",
    method: str = "charge_automatically",
    pause: Obj | None = None,
    latest_invoice: str | Obj | None = None,
    **fields: Any,
) -> Obj:
    """Return a subscription object.  `cancel_at` is its period's end, so the boolean goes with it."""
    given: Obj = {"created": START, "cancel_at_period_end": fields.get("cancel_at") is not None} | fields
    line = Line(price=price, quantity=quantity, ends=period_end)
    sub = Sub(lines=(line,), collection_method=method, pause_collection=pause, latest_invoice=None, **given)
    return sub.json(version) | {"customer": customer, "latest_invoice": latest_invoice}


def invoice(version: str = NEW, **fields: Any) -> Obj:
    """Return an invoice object."""
    given: Obj = {"status": "open", "created": START, "attempts": 1} | fields
    return Bill(**({"finalized_at": given["created"]} | given)).json(version)


def customer(*, id: str = "cus_1", user: str | None = None) -> Obj:  # noqa: A002 - Stripe's word
    """Return a customer object."""
    return bodies.customer(id, user=user)


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
    previous = None if before is None else previous_attributes(before, body)
    return body_of(bodies.event(type, body, created=created, previous=previous, version=version, id=id))
