"""What Stripe says of a checkout session or a customer, as far as whose something is."""

from __future__ import annotations

from msgspec import Struct


class CheckoutReport(Struct, frozen=True):
    """What a checkout event says: which session, now in what status, for whom."""

    session_id: str
    status: str
    customer_id: str | None
    user_id: str | None


class CustomerReport(Struct, frozen=True):
    """What is said of a customer."""

    customer_id: str
    user_id: str | None
    deleted: bool
