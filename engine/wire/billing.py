"""Stripe's invoices, previews and payment methods, as far as the account page reads them through.

Only what we ask for ourselves is decoded here, so the shapes are those of the API version that the client names.
Nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Reference(Struct, frozen=True):
    """An object of which the id is all that is needed."""

    id: str


class _Period(Struct, frozen=True):
    start: int = 0
    end: int = 0


class _PriceDetails(Struct, frozen=True):
    price: str | Reference | None = None
    product: str | None = None


class _Pricing(Struct, frozen=True):
    price_details: _PriceDetails | None = None


class _ItemDetails(Struct, frozen=True):
    proration: bool = False
    subscription_item: str | None = None


class _LineParent(Struct, frozen=True):
    subscription_item_details: _ItemDetails | None = None
    invoice_item_details: _ItemDetails | None = None


class Line(Struct, frozen=True):
    """One line of an invoice; `amount` in the smallest unit, discounts inside, tax not."""

    amount: int
    description: str | None = None
    quantity: int | None = None
    period: _Period = _Period()
    pricing: _Pricing | None = None
    parent: _LineParent | None = None

    @property
    def proration(self) -> bool:
        """Whether the line is a part of a period: a credit for what is left unused, or what remains to be used."""
        parent = self.parent
        details = (parent.subscription_item_details or parent.invoice_item_details) if parent else None
        return details is not None and details.proration

    @property
    def price_id(self) -> str | None:
        """The id of the price that the line is for."""
        price = self.pricing.price_details.price if self.pricing and self.pricing.price_details else None
        return price if isinstance(price, str) or price is None else price.id

    @property
    def product(self) -> str | None:
        """The id of the product that the line is for."""
        return self.pricing.price_details.product if self.pricing and self.pricing.price_details else None


class Lines(Struct, frozen=True):
    """Lines, newest first; `has_more` where Stripe left some out."""

    data: tuple[Line, ...] = ()
    has_more: bool = False


class Tax(Struct, frozen=True):
    """One tax of an invoice."""

    amount: int = 0


class _SubscriptionDetails(Struct, frozen=True):
    subscription_proration_date: int | None = None


class _InvoiceParent(Struct, frozen=True):
    subscription_details: _SubscriptionDetails | None = None


class Invoice(Struct, frozen=True, kw_only=True):
    """An invoice, or a preview of one (`id` is then not to be asked for).  Amounts in the smallest unit."""

    id: str
    created: int
    currency: str
    status: str | None = None
    number: str | None = None
    customer: str | Reference | None = None
    total: int = 0
    subtotal: int = 0
    amount_due: int = 0
    amount_remaining: int = 0
    starting_balance: int = 0
    total_taxes: tuple[Tax, ...] | None = None
    period_end: int = 0
    next_payment_attempt: int | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None
    lines: Lines = Lines()
    parent: _InvoiceParent | None = None

    @property
    def proration_date(self) -> int | None:
        """The moment that a preview was made for, in seconds."""
        details = self.parent.subscription_details if self.parent else None
        return details.subscription_proration_date if details else None

    @property
    def customer_id(self) -> str | None:
        """Whose it is."""
        return self.customer.id if isinstance(self.customer, Reference) else self.customer

    @property
    def tax(self) -> int:
        """All taxes together."""
        return sum(tax.amount for tax in self.total_taxes or ())


class InvoiceList(Struct, frozen=True):
    """A page of Stripe's list of invoices, newest first."""

    data: tuple[Invoice, ...] = ()
    has_more: bool = False


class _Card(Struct, frozen=True):
    brand: str = ""
    last4: str = ""
    exp_month: int = 0
    exp_year: int = 0


class _Account(Struct, frozen=True):
    bank_name: str | None = None
    last4: str | None = None


class PaymentMethod(Struct, frozen=True, kw_only=True):
    """A payment method that is attached to a customer."""

    id: str
    type: str
    customer: str | Reference | None = None
    card: _Card | None = None
    us_bank_account: _Account | None = None
    sepa_debit: _Account | None = None

    @property
    def customer_id(self) -> str | None:
        """Whose it is; None where it is attached to nobody."""
        return self.customer.id if isinstance(self.customer, Reference) else self.customer


class PaymentMethodList(Struct, frozen=True):
    """A page of Stripe's list of payment methods, newest first."""

    data: tuple[PaymentMethod, ...] = ()
    has_more: bool = False


class _InvoiceSettings(Struct, frozen=True):
    default_payment_method: str | Reference | None = None


class CustomerDefaults(Struct, frozen=True):
    """A customer, as far as its default payment method."""

    id: str
    deleted: bool = False
    invoice_settings: _InvoiceSettings = _InvoiceSettings()

    @property
    def default(self) -> str | None:
        """The id of its default payment method."""
        return id_of(self.invoice_settings.default_payment_method)


class SubscriptionDefault(Struct, frozen=True):
    """A subscription, as far as its own default payment method, which stands above its customer's."""

    id: str
    default_payment_method: str | Reference | None = None

    @property
    def default(self) -> str | None:
        """The id of its own payment method."""
        return id_of(self.default_payment_method)


class SetupIntent(Struct, frozen=True):
    """What a page of one's own needs to take a card: the secret goes to Stripe.js."""

    id: str
    client_secret: str


class PageUrl(Struct, frozen=True):
    """A page of Stripe's."""

    url: str


def id_of(reference: str | Reference | None) -> str | None:
    """Return the id, whether the object was expanded or not."""
    return reference.id if isinstance(reference, Reference) else reference


def price_lines(invoice: Invoice) -> Iterator[Line]:
    """Yield the lines that are for a price, what is charged before what is credited."""
    yield from sorted(
        (line for line in invoice.lines.data if line.price_id), key=lambda line: line.amount, reverse=True
    )
