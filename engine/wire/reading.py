"""Stripe's objects, as `objects` decodes them, into our facts and invoices; the same for every API version."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from interlock.engine.core.invoices import Invoice
from interlock.engine.core.states import Facts, Item, PendingUpdate, Phase, Schedule
from interlock.engine.wire import objects as wire
from interlock.engine.wire.objects import ref_id
from interlock.engine.wire.values import SCHEDULE_MARK, USER_KEYS, Keys, user_in


def facts_of(sub: wire.Subscription, keys: Keys = USER_KEYS) -> Facts:
    """Read a subscription object into facts; `keys` are the metadata keys that may name its user."""
    ends = [item.current_period_end for item in sub.items.data if item.current_period_end is not None]
    period_end = sub.current_period_end if sub.current_period_end is not None else min(ends, default=None)
    pause, details = sub.pause_collection, sub.cancellation_details
    return Facts(
        subscription_id=sub.id,
        customer_id=ref_id(sub.customer) or "",
        status=sub.status,
        created=sub.created,
        items=tuple(map(_item, sub.items.data)),
        user_id=user_in(sub.metadata, keys),
        current_period_end=period_end,
        trial_end=sub.trial_end,
        cancel_at=sub.cancel_at or (period_end if sub.cancel_at_period_end else None),
        ended_at=sub.ended_at,
        collection_paused=pause is not None,
        collection_resumes_at=pause.resumes_at or None if pause is not None else None,
        charges_automatically=sub.collection_method != "send_invoice",
        latest_invoice=ref_id(sub.latest_invoice),
        test_clock=ref_id(sub.test_clock),
        items_cut=sub.items.has_more,
        billing_mode=sub.billing_mode.type if sub.billing_mode else None,
        livemode=sub.livemode,
        schedule=schedule_of(sub.schedule),
        pending_update=_pending(sub.pending_update),
        cancel_reason=(details.reason or None) if details else None,
        cancel_feedback=(details.feedback or None) if details else None,
        cancel_comment=(details.comment or None) if details else None,
        has_payment_method=sub.default_payment_method is not None or sub.default_source is not None,
        paused_by=_paused_by(sub),
    )


def _item(item: wire.SubscriptionItem) -> Item:
    """Read one item.  The price may be an id (in a schedule), or a plan of the time before prices."""
    price, quantity = item.price or item.plan, 1 if item.quantity is None else item.quantity
    if price is None or isinstance(price, str):
        return Item(price or "", quantity, item_id=item.id, period_end=item.current_period_end)
    recurring = price.recurring or price
    return Item(
        price_id=price.id,
        quantity=quantity,
        lookup_key=price.lookup_key,
        item_id=item.id,
        product=ref_id(price.product),
        interval=recurring.interval,
        interval_count=recurring.interval_count or 1,
        metered=recurring.usage_type == "metered",
        unit_amount=price.unit_amount if price.unit_amount is not None else price.amount,
        currency=price.currency,
        period_end=item.current_period_end,
    )


def schedule_of(schedule: str | wire.Schedule | None) -> Schedule | None:
    """Read the schedule that is attached: its id alone in a webhook, its phases where it was expanded."""
    if schedule is None or isinstance(schedule, str):
        return Schedule(schedule) if schedule else None
    if schedule.phases is None:
        return Schedule(schedule.id)
    present = schedule.current_phase
    ahead = [phase for phase in schedule.phases if present is None or phase.start_date >= present.start_date]
    mark = (schedule.metadata or {}).get(SCHEDULE_MARK)
    copied = len(schedule.phases) == 1 and schedule.end_behavior == "release" and not schedule.metadata
    phases = tuple(Phase(phase.start_date, phase.end_date, tuple(map(_item, phase.items))) for phase in ahead)
    return Schedule(schedule.id, phases, mark if isinstance(mark, str) else None, copied)


def _pending(pending: wire.PendingUpdate | None) -> PendingUpdate | None:
    if pending is None:
        return None
    return PendingUpdate(
        expires_at=pending.expires_at or 0,
        items=tuple(map(_item, pending.subscription_items or ())),
        trial_end=pending.trial_end or None,
    )


def _paused_by(sub: wire.Subscription) -> str | None:
    paused = sub.status_details.paused if sub.status_details and sub.status == "paused" else None
    return paused.subscription.type if paused and paused.subscription else None


def facts_before(sub: wire.Subscription, previous: wire.PreviousAttributes, keys: Keys = USER_KEYS) -> Facts:
    """Read the facts as they were before an update: the object, with what changed put back.

    Of metadata, paused collection, cancellation details and a pending update Stripe says only what changed in them.
    """
    changed = {name: value for name in previous.__struct_fields__ if (value := getattr(previous, name)) is not UNSET}
    if isinstance(previous.metadata, dict):
        changed["metadata"] = {**(sub.metadata or {}), **previous.metadata}
    for name in ("pause_collection", "cancellation_details", "pending_update"):
        before, now = changed.get(name), getattr(sub, name)
        if before is not None and now is not None:
            changed[name] = _put_back(now, before)
    return facts_of(msgspec.structs.replace(sub, **changed), keys)


def _put_back(now: Any, before: Any) -> Any:
    """Return an inner object as it was: what it is now, with the fields that changed as they were."""
    said = {name: value for name in before.__struct_fields__ if (value := getattr(before, name)) is not UNSET}
    return msgspec.structs.replace(now, **said)


def invoice_of(invoice: wire.Invoice, *, reported_at: int, failed_at: int | None = None) -> Invoice | None:
    """Read an invoice object; None where it bills no subscription."""
    subscription_id = invoice.subscription_id
    if subscription_id is None:
        return None
    code, attempts = failure_of(invoice), invoice.attempt_count or 0
    lines = invoice.lines.data if invoice.lines else []
    return Invoice(
        invoice_id=invoice.id,
        subscription_id=subscription_id,
        created=invoice.created,
        status=invoice.status or ("paid" if invoice.paid else "open"),
        attempt_count=attempts,
        failed_at=failed_at,
        failure_code=code,
        failure_attempt=max(attempts, 1) if code else 0,
        finalized_at=invoice.status_transitions.finalized_at if invoice.status_transitions else None,
        next_attempt=invoice.next_payment_attempt,
        hosted_url=invoice.hosted_invoice_url,
        period_end=max((line.period.end for line in lines if line.period is not None), default=None),
        is_first=invoice.billing_reason == "subscription_create",
        reported_at=reported_at,
    )


def failure_of(invoice: wire.Invoice) -> str | None:
    """Return Stripe's code of the last failed payment: in the invoice's own intent, or in its newest payment's."""
    intents = [invoice.payment_intent]
    if invoice.payments is not None:
        intents += [one.payment.payment_intent for one in invoice.payments.data if one.payment is not None]
    errors = [intent.last_payment_error for intent in intents if isinstance(intent, wire.PaymentIntent)]
    failure = next((error for error in errors if error is not None), invoice.last_finalization_error)
    return (failure.decline_code or failure.code) if failure is not None else None
