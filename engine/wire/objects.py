"""Stripe's objects, as they come over the wire in any API version since 2020-08-27, into our facts.

Only the few fields that are used are named; everything else is skipped by the decoder.  Where Stripe moved a
field (2025-03-31.basil: the period to the items, the invoice's subscription to its parent), both places are
read.  A field of the wrong type makes the whole object unreadable, and Stripe is asked instead.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from interlock.engine.core.invoices import Bill
from interlock.engine.core.states import Facts, Item

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Text: TypeAlias = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00]*$")]  # no database takes a NUL as text
Time: TypeAlias = Annotated[int, Meta(ge=0, le=253_402_300_799)]  # the year 9999: a later one has no RFC 3339
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
USER_KEY: Final = "user_id"
MAX_USER: Final = 200
"""Characters of a user id."""


class Ref(Struct):
    """An object that may stand as its id or expanded."""

    id: Id


class Customer(Struct):
    """A customer; `deleted` once it is gone."""

    id: Id
    metadata: dict[str, Any] | None = None
    deleted: bool = False

    @property
    def user_id(self) -> str | None:
        """The user whom the customer's metadata names."""
        return user_in(self.metadata)


class _Price(Struct):
    id: Id
    lookup_key: str | None = None


class _Item(Struct):
    price: _Price | None = None
    plan: _Price | None = None
    quantity: Count | None = None
    current_period_end: Time | None = None


class _Items(Struct):
    data: list[_Item] = []


class _PauseCollection(Struct):
    resumes_at: Time | UnsetType | None = UNSET


class Subscription(Struct):
    """A subscription object."""

    id: Id
    status: Id
    customer: Id | Customer
    created: Time = 0
    items: _Items = msgspec.field(default_factory=_Items)
    metadata: dict[str, Any] | None = None
    current_period_end: Time | None = None
    trial_end: Time | None = None
    cancel_at: Time | None = None
    cancel_at_period_end: bool | None = False
    ended_at: Time | None = None
    pause_collection: _PauseCollection | None = None
    collection_method: str | None = None
    latest_invoice: Id | Invoice | None = None
    test_clock: Id | TestClock | None = None
    livemode: bool | None = None


class PreviousAttributes(Struct):
    """What an update changed, as it was before; a field that is not there did not change."""

    status: Id | UnsetType = UNSET
    items: _Items | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    current_period_end: Time | UnsetType | None = UNSET
    trial_end: Time | UnsetType | None = UNSET
    cancel_at: Time | UnsetType | None = UNSET
    cancel_at_period_end: bool | UnsetType | None = UNSET
    ended_at: Time | UnsetType | None = UNSET
    pause_collection: _PauseCollection | UnsetType | None = UNSET
    collection_method: str | UnsetType | None = UNSET
    latest_invoice: Id | Ref | UnsetType | None = UNSET


class TestClock(Struct):
    """A test clock, where a subscription lives on one."""

    id: Id
    frozen_time: Time = 0


class _Error(Struct):
    code: Text | None = None
    decline_code: Text | None = None


class _PaymentIntent(Struct):
    last_payment_error: _Error | None = None


class _SubscriptionDetails(Struct):
    subscription: Id | Ref | None = None


class _Parent(Struct):
    subscription_details: _SubscriptionDetails | None = None


class _StatusTransitions(Struct):
    finalized_at: Time | None = None


class OfSubscription(Struct):
    """Any object that says which subscription it is about."""

    subscription: Id | Ref | None = None
    parent: _Parent | None = None

    @property
    def subscription_id(self) -> str | None:
        """The subscription, in the place of either API generation."""
        details = self.parent.subscription_details if self.parent else None
        return ref_id(self.subscription) or (ref_id(details.subscription) if details else None)


class Invoice(OfSubscription, kw_only=True):
    """An invoice object."""

    id: Id
    customer: Id | Ref | None = None
    status: Text | None = None
    paid: bool | None = None
    created: Time = 0
    attempt_count: Count | None = 0
    next_payment_attempt: Time | None = None
    hosted_invoice_url: Text | None = None
    status_transitions: _StatusTransitions | None = None
    last_finalization_error: _Error | None = None
    payment_intent: Id | _PaymentIntent | None = None


class CheckoutSession(Struct):
    """A checkout session object."""

    id: Id
    customer: Id | Ref | None = None
    subscription: Id | Ref | None = None
    client_reference_id: str | None = None
    mode: str | None = None
    status: str | None = None
    url: str | None = None
    expires_at: Time = 0


class OfCustomer(Struct):
    """Any object that says whose it is."""

    customer: Id | Ref | None = None


def ref_id(value: str | Ref | Customer | Invoice | TestClock | None) -> str | None:
    """Return the id of what may be expanded."""
    return value if value is None or isinstance(value, str) else value.id


def user_in(metadata: dict[str, Any] | None) -> str | None:
    """Return the user that metadata names; an id that is not usable text names nobody."""
    return usable_user((metadata or {}).get(USER_KEY))


def usable_user(value: object) -> str | None:
    """Return a user id if it is one, else None: the same rule for a token's claim and for Stripe's metadata.

    No database takes a NUL, or half a surrogate pair.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_USER or "\x00" in value:
        return None
    return None if any("\ud800" <= letter <= "\udfff" for letter in value) else value


def facts_of(sub: Subscription) -> Facts:
    """Read a subscription object into facts."""
    ends = [item.current_period_end for item in sub.items.data if item.current_period_end is not None]
    period_end = sub.current_period_end if sub.current_period_end is not None else min(ends, default=None)
    pause = sub.pause_collection
    return Facts(
        subscription_id=sub.id,
        customer_id=ref_id(sub.customer) or "",
        status=sub.status,
        created=sub.created,
        items=tuple(_item(item) for item in sub.items.data),
        user_id=user_in(sub.metadata),
        current_period_end=period_end,
        trial_end=sub.trial_end,
        cancel_at=sub.cancel_at or (period_end if sub.cancel_at_period_end else None),
        ended_at=sub.ended_at,
        collection_paused=pause is not None,
        collection_resumes_at=pause.resumes_at or None if pause is not None else None,
        charges_automatically=sub.collection_method != "send_invoice",
        latest_invoice=ref_id(sub.latest_invoice),
        test_clock=ref_id(sub.test_clock),
    )


def _item(item: _Item) -> Item:
    price = item.price or item.plan
    if price is None:
        return Item("", item.quantity or 1)
    return Item(price.id, 1 if item.quantity is None else item.quantity, price.lookup_key)


def facts_before(sub: Subscription, previous: PreviousAttributes) -> Facts:
    """Read the facts as they were before an update: the object, with what changed put back."""
    changed = {name: value for name in previous.__struct_fields__ if (value := getattr(previous, name)) is not UNSET}
    if isinstance(previous.metadata, dict):
        changed["metadata"] = {**(sub.metadata or {}), **previous.metadata}
    if isinstance(previous.pause_collection, _PauseCollection) and previous.pause_collection.resumes_at is UNSET:
        changed["pause_collection"] = sub.pause_collection or previous.pause_collection
    return facts_of(msgspec.structs.replace(sub, **changed))


def bill_of(invoice: Invoice, *, heard_at: int, failed_at: int | None = None) -> Bill | None:
    """Read an invoice object into a bill; None where it bills no subscription."""
    subscription_id = invoice.subscription_id
    if subscription_id is None:
        return None
    intent = invoice.payment_intent
    failure = intent.last_payment_error if isinstance(intent, _PaymentIntent) else invoice.last_finalization_error
    return Bill(
        invoice_id=invoice.id,
        subscription_id=subscription_id,
        created=invoice.created,
        status=invoice.status or ("paid" if invoice.paid else "open"),
        attempt_count=invoice.attempt_count or 0,
        failed_at=failed_at,
        failure_code=failure.decline_code or failure.code if failure else None,
        finalized_at=invoice.status_transitions.finalized_at if invoice.status_transitions else None,
        next_attempt=invoice.next_payment_attempt,
        hosted_url=invoice.hosted_invoice_url,
        heard_at=heard_at,
    )
