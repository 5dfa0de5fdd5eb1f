"""Stripe's objects, as they come over the wire in any API version since 2020-08-27.

Only the few fields that are used are named; everything else is skipped by the decoder.  Where Stripe moved a
field (2025-03-31.basil: the period to the items, the invoice's subscription to its parent), both places are
read.  A field of the wrong type makes the whole object unreadable, and Stripe is asked instead.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from interlock.engine.wire.values import USER_KEYS, Count, Id, Keys, Text, Time, user_in


class Ref(Struct):
    """An object that may stand as its id or expanded."""

    id: Id


class Customer(Struct):
    """A customer; `deleted` once it is gone."""

    id: Id
    metadata: dict[str, Any] | None = None
    deleted: bool = False

    def user_id(self, keys: Keys = USER_KEYS) -> str | None:
        """The user whom the customer's metadata names."""
        return user_in(self.metadata, keys)


class _Recurring(Struct):
    interval: Text | None = None
    interval_count: Count | None = None
    usage_type: Text | None = None


class _Price(_Recurring, kw_only=True):
    """A price, or a plan of the time before prices: that has the recurring fields, and its amount, in itself."""

    id: Id
    lookup_key: str | None = None
    product: Id | Ref | None = None
    recurring: _Recurring | None = None
    unit_amount: int | None = None
    amount: int | None = None
    currency: Text | None = None


class SubscriptionItem(Struct):
    """An item of a subscription, or of a phase of a schedule."""

    id: Id | None = None
    price: _Price | Id | None = None
    plan: _Price | Id | None = None
    quantity: Count | None = None
    current_period_end: Time | None = None


class ItemList(Struct):
    """The items of a subscription; `has_more` where the list was cut."""

    data: list[SubscriptionItem] = []
    has_more: bool = False


class _Phase(Struct):
    start_date: Time
    end_date: Time | None = None
    items: list[SubscriptionItem] = []


class Schedule(Struct):
    """A subscription schedule, where it was expanded."""

    id: Id
    phases: list[_Phase] | None = None
    end_behavior: str | None = None
    metadata: dict[str, Any] | None = None
    current_phase: _Phase | None = None


class PendingUpdate(Struct):
    """A change that waits for its payment."""

    expires_at: Time | UnsetType = UNSET
    subscription_items: list[SubscriptionItem] | UnsetType | None = UNSET
    trial_end: Time | UnsetType | None = UNSET


class _CancellationDetails(Struct):
    reason: Text | UnsetType | None = UNSET
    feedback: Text | UnsetType | None = UNSET
    comment: str | UnsetType | None = UNSET


class _BillingMode(Struct):
    type: Text | None = None


class _PausedSubscription(Struct):
    type: Text | None = None


class _Paused(Struct):
    subscription: _PausedSubscription | None = None


class _StatusDetails(Struct):
    paused: _Paused | None = None


class _PauseCollection(Struct):
    resumes_at: Time | UnsetType | None = UNSET


class Subscription(Struct):
    """A subscription object."""

    id: Id
    status: Id
    customer: Id | Customer
    created: Time = 0
    items: ItemList = msgspec.field(default_factory=ItemList)
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
    billing_mode: _BillingMode | None = None
    schedule: Id | Schedule | None = None
    pending_update: PendingUpdate | None = None
    cancellation_details: _CancellationDetails | None = None
    default_payment_method: Id | Ref | None = None
    default_source: Id | Ref | None = None
    status_details: _StatusDetails | None = None


class PreviousAttributes(Struct):
    """What an update changed, as it was before; a field that is not there did not change."""

    status: Id | UnsetType = UNSET
    items: ItemList | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    current_period_end: Time | UnsetType | None = UNSET
    trial_end: Time | UnsetType | None = UNSET
    cancel_at: Time | UnsetType | None = UNSET
    cancel_at_period_end: bool | UnsetType | None = UNSET
    ended_at: Time | UnsetType | None = UNSET
    pause_collection: _PauseCollection | UnsetType | None = UNSET
    collection_method: str | UnsetType | None = UNSET
    latest_invoice: Id | Ref | UnsetType | None = UNSET
    billing_mode: _BillingMode | UnsetType | None = UNSET
    schedule: Id | Ref | UnsetType | None = UNSET
    pending_update: PendingUpdate | UnsetType | None = UNSET
    cancellation_details: _CancellationDetails | UnsetType | None = UNSET
    default_payment_method: Id | Ref | UnsetType | None = UNSET
    default_source: Id | Ref | UnsetType | None = UNSET
    status_details: _StatusDetails | UnsetType | None = UNSET


class TestClock(Struct):
    """A test clock, where a subscription lives on one."""

    id: Id
    frozen_time: Time = 0


class _Error(Struct):
    code: Text | None = None
    decline_code: Text | None = None


class PaymentIntent(Struct):
    """A payment, as far as why it failed."""

    last_payment_error: _Error | None = None


class _SubscriptionDetails(Struct):
    subscription: Id | Ref | None = None


class _Parent(Struct):
    subscription_details: _SubscriptionDetails | None = None


class _StatusTransitions(Struct):
    finalized_at: Time | None = None


class _Period(Struct):
    end: Time = 0


class _Line(Struct):
    period: _Period | None = None


class _Lines(Struct):
    data: list[_Line] = []


class _Payment(Struct):
    payment_intent: Id | PaymentIntent | None = None


class _InvoicePayment(Struct):
    payment: _Payment | None = None


class InvoicePayments(Struct):
    """The payments of an invoice, the newest first."""

    data: list[_InvoicePayment] = []


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
    payment_intent: Id | PaymentIntent | None = None
    payments: InvoicePayments | None = None
    lines: _Lines | None = None
    billing_reason: Text | None = None


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


class OfSchedule(Struct):
    """A subscription schedule, as far as whose it is."""

    subscription: Id | Ref | None = None
    released_subscription: Id | None = None
    customer: Id | Ref | None = None


class OfCustomer(Struct):
    """Any object that says whose it is."""

    customer: Id | Ref | None = None


def ref_id(value: str | Ref | Customer | Invoice | TestClock | Schedule | None) -> str | None:
    """Return the id of what may be expanded."""
    return value if value is None or isinstance(value, str) else value.id
