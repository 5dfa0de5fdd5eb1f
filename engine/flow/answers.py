"""What Stripe answers about one subscription, read whole: with its customer, invoices, schedule and all its items."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from interlock.engine.core.invoices import Invoice
from interlock.engine.errors import StripeRefused, StripeUnavailable
from interlock.engine.units.evidence import Reading
from interlock.engine.units.records import Question
from interlock.engine.wire import objects as wire
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded
from interlock.engine.wire.reading import facts_of, invoice_of
from interlock.engine.wire.reports import CustomerReport
from interlock.engine.wire.values import USER_KEYS, Keys

EXPAND: Final = ["customer", "latest_invoice", "test_clock", "schedule"]
_MOST_ITEMS: Final = 100


class _Items(Struct):
    data: list[wire.SubscriptionItem]


class _Invoices(Struct):
    data: list[wire.Invoice]


async def read_stripe(
    stripe: StripeClient, question: Question, source: str = "reconcile", keys: Keys = USER_KEYS
) -> Reading:
    """Ask Stripe about one subscription; `keys` name a user in metadata.  Raises StripeUnavailable, StripeRefused.

    Where Stripe has no such subscription, another read must be answered before that is believed.
    """
    try:
        response = await stripe.get(f"subscriptions/{quote(question.subscription_id, safe='')}", expand=EXPAND)
    except NoSuchObject:
        await stripe.get("subscriptions", limit=1)
        return Reading(
            subscription_id=question.subscription_id,
            facts=None,
            date=0,
            evidence_at_ask=question.evidence,
            source=source,
        )
    subscription = decoded(response.body, wire.Subscription)
    if subscription.id != question.subscription_id:
        raise StripeUnavailable("Stripe answered about another subscription")
    subscription = await _with_all_items(stripe, subscription)
    return msgspec.structs.replace(
        reading_of(subscription, response.date, question, source, keys),
        invoices=await _invoices(stripe, subscription),
    )


def reading_of(
    subscription: wire.Subscription, date: int, question: Question, source: str, keys: Keys = USER_KEYS
) -> Reading:
    """Read Stripe's answer.  On a test clock events carry its time, so the answer is no older than that."""
    clock, customer, latest = subscription.test_clock, subscription.customer, subscription.latest_invoice
    frozen = clock.frozen_time if isinstance(clock, wire.TestClock) else 0
    invoice = invoice_of(latest, reported_at=0) if isinstance(latest, wire.Invoice) else None
    report = None
    if isinstance(customer, wire.Customer):
        report = CustomerReport(customer.id, customer.user_id(keys), customer.deleted)
    return Reading(
        subscription_id=question.subscription_id,
        facts=facts_of(subscription, keys),
        date=max(date, frozen),
        evidence_at_ask=question.evidence,
        invoices=() if invoice is None else (invoice,),
        customer=report,
        source=source,
    )


async def _with_all_items(stripe: StripeClient, subscription: wire.Subscription) -> wire.Subscription:
    """List the items where the subscription carries only the first of them; Stripe allows 20."""
    if not subscription.items.has_more:
        return subscription
    answer = await stripe.get("subscription_items", subscription=subscription.id, limit=_MOST_ITEMS)
    return msgspec.structs.replace(subscription, items=wire.ItemList(decoded(answer.body, _Items).data))


async def _invoices(stripe: StripeClient, subscription: wire.Subscription) -> tuple[Invoice, ...]:
    """Read the latest invoice, why its payment failed, and the last paid one where collection is paused."""
    latest = subscription.latest_invoice
    if not isinstance(latest, wire.Invoice):
        return ()
    read = [invoice_of(latest, reported_at=0)]
    if read[0] is not None and read[0].lacks_code:
        read[0] = invoice_of(await _with_payments(stripe, latest), reported_at=0)
    if subscription.pause_collection is not None and latest.status != "paid":
        answer = await stripe.get("invoices", subscription=subscription.id, status="paid", limit=1)
        read += [invoice_of(paid, reported_at=0) for paid in decoded(answer.body, _Invoices).data]
    return tuple(invoice for invoice in read if invoice is not None)


async def _with_payments(stripe: StripeClient, invoice: wire.Invoice) -> wire.Invoice:
    """Read the payments of an invoice: they say why they failed.  Without the right to, that stays unknown."""
    try:
        answer = await stripe.get(
            "invoice_payments", invoice=invoice.id, limit=10, expand=["data.payment.payment_intent"]
        )
    except StripeRefused:
        return invoice
    return msgspec.structs.replace(invoice, payments=decoded(answer.body, wire.InvoicePayments))
