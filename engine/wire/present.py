"""What Stripe has at the moment of a verb: the subscription, its schedule, prices and promotion codes."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.wire import objects
from interlock.engine.wire.billing import Invoice, Reference


class _Recurring(Struct, frozen=True):
    interval: str = "month"
    interval_count: int = 1
    usage_type: str = "licensed"


class Price(Struct, frozen=True, kw_only=True):
    """A price.  `unit_amount` in the smallest unit, None for tiers and fractions of one."""

    id: str
    currency: str
    active: bool = True
    unit_amount: int | None = None
    recurring: _Recurring | None = None


class PriceList(Struct, frozen=True):
    """A page of Stripe's list of prices."""

    data: tuple[Price, ...] = ()


class SubscriptionItem(Struct, frozen=True, kw_only=True):
    """One item as it is now."""

    id: str
    price: Price
    quantity: int | None = None
    current_period_start: int = 0
    current_period_end: int = 0


class _Items(Struct, frozen=True):
    data: tuple[SubscriptionItem, ...] = ()


class NewSchedule(Struct, frozen=True, kw_only=True):
    """A schedule that was just made of a subscription; its one phase as Stripe wrote it."""

    id: str
    phases: tuple[dict[str, object], ...] = ()


class _Method(Struct, frozen=True):
    id: str
    type: str = "card"


class _Pending(Struct, frozen=True):
    expires_at: int


class SubscriptionNow(Struct, frozen=True, kw_only=True):
    """A subscription as Stripe has it at the moment of a verb: what the next call depends on."""

    id: str
    status: str
    customer: str | Reference
    currency: str
    collection_method: str = "charge_automatically"
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    trial_end: int | None = None
    schedule: str | objects.Schedule | None = None
    pending_update: _Pending | None = None
    pause_collection: dict[str, object] | None = None
    discounts: tuple[str | Reference, ...] = ()
    default_payment_method: str | _Method | None = None
    latest_invoice: str | Invoice | None = None
    items: _Items = _Items()

    @property
    def customer_id(self) -> str:
        """Whose it is."""
        return self.customer.id if isinstance(self.customer, Reference) else self.customer

    @property
    def open_invoice(self) -> Invoice | None:
        """The latest invoice, where it waits for its payment."""
        invoice = self.latest_invoice
        return invoice if isinstance(invoice, Invoice) and invoice.status == "open" else None

    @property
    def discount_ids(self) -> tuple[str, ...]:
        """The discounts that it has."""
        return tuple(one if isinstance(one, str) else one.id for one in self.discounts)

    def item(self, price_id: str) -> SubscriptionItem | None:
        """Return its item of a price."""
        return next((one for one in self.items.data if one.price.id == price_id), None)


RECURRING: Final = _Recurring()


class PromotionCode(Struct, frozen=True):
    """A promotion code."""

    id: str
    active: bool = True


class PromotionCodes(Struct, frozen=True):
    """A page of Stripe's list of promotion codes."""

    data: tuple[PromotionCode, ...] = ()
