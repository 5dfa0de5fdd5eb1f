"""The schedules that we attach to a subscription, to change it at the period's end; no state is written here.

Ours carry `metadata.interlock`.  A crash between making one and marking it leaves Stripe's copy of the subscription:
one phase, no metadata, released at its end; that counts as ours too.  Somebody else's is never touched.

While a schedule is attached, Stripe refuses every field of a cancellation (docs.stripe.com/billing/subscriptions/
subscription-schedules), so ours is released before any other verb.  Our second phase lasts a day, so that the
schedule is gone by itself a day after the switch.
"""

from __future__ import annotations

from typing import Any, Final, cast

from interlock.engine.errors import StripeRefused
from interlock.engine.wire import billing, present
from interlock.engine.wire.client import StripeClient
from interlock.engine.wire.reading import schedule_of
from interlock.engine.wire.values import SCHEDULE_MARK

_DAY: Final = 86_400
_KEPT: Final = (
    "start_date", "end_date", "trial_end", "metadata", "description", "default_tax_rates", "collection_method",
    "default_payment_method", "application_fee_percent", "on_behalf_of", "transfer_data", "invoice_settings",
    "automatic_tax", "proration_behavior",
)  # fmt: skip
"""The attributes of a phase that are sent again as Stripe answered them."""


async def release_ours(stripe: StripeClient, subscription: present.SubscriptionNow, key: str) -> bool:
    """Release our own schedule, where one is attached; returns whether one was.  Another's is left alone."""
    schedule = schedule_of(subscription.schedule)
    if schedule is None or not schedule.ours:
        return False
    path = f"subscription_schedules/{schedule.id}/release"
    params: dict[str, Any] = {"preserve_cancel_date": True}
    await stripe.post(path, billing.Reference, params, idempotency_key=f"{key}-{schedule.id}")
    return True


async def change_at_period_end(
    stripe: StripeClient,
    subscription_id: str,
    items: dict[str, dict[str, Any]],
    discounts: tuple[dict[str, str], ...],
    key: str,
) -> None:
    """Attach a schedule that changes a subscription at the end of its period.

    `items`: the id of a price that it has → the item in its place from then on.  `discounts`: what it has from then
    on, where one is added.  Stripe makes a schedule of a subscription and takes nothing else in that call, so the
    second phase is a call of its own.  Phases replace all, and what is not sent again is dropped: discounts, taxes
    and metadata of the subscription are sent again as they are.
    """
    made = await stripe.post(
        "subscription_schedules", present.NewSchedule, {"from_subscription": subscription_id}, idempotency_key=key
    )
    now = _sent_again(made.phases[0])
    end = now["end_date"]
    then = {
        **{name: value for name, value in now.items() if name not in ("start_date", "end_date", "trial_end")},
        "items": [_in_place(item, items) for item in now["items"]],
        "end_date": end + _DAY,
        "proration_behavior": "none",
    }
    if discounts:
        then["discounts"] = list(discounts)
    params: dict[str, Any] = {
        "end_behavior": "release",
        "proration_behavior": "none",
        "metadata": {SCHEDULE_MARK: "change"},
        "phases": [now, then],
    }
    try:
        await stripe.post(
            f"subscription_schedules/{made.id}", billing.Reference, params, idempotency_key=f"{key}-phases"
        )
    except StripeRefused:
        await stripe.post(
            f"subscription_schedules/{made.id}/release", billing.Reference, {}, idempotency_key=f"{key}-undone"
        )
        raise


def _in_place(item: dict[str, Any], items: dict[str, dict[str, Any]]) -> dict[str, Any]:
    new = items.get(item["price"])
    if new is None:
        return item
    kept = {name: value for name, value in item.items() if name != "quantity"}
    return kept | {name: value for name, value in new.items() if name != "id"}


def _sent_again(phase: dict[str, Any]) -> dict[str, Any]:
    """Write a phase that Stripe answered as the parameters that keep it as it is."""
    sent: dict[str, Any] = {name: _plain(phase[name]) for name in _KEPT if phase.get(name) not in (None, [], {})}
    sent["items"] = [_item_again(item) for item in phase.get("items", [])]
    if phase.get("discounts"):
        sent["discounts"] = [_discount_again(one) for one in phase["discounts"]]
    return sent


def _item_again(item: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {"price": _plain(item["price"])}
    for name in ("quantity", "metadata", "tax_rates"):
        if item.get(name) not in (None, [], {}):
            sent[name] = _plain(item[name])
    if item.get("discounts"):
        sent["discounts"] = [_discount_again(one) for one in item["discounts"]]
    return sent


def _discount_again(discount: Any) -> dict[str, str]:
    """A discount by its own id, so that its duration goes on; a coupon in its place would begin anew."""
    if isinstance(discount, str):
        return {"discount": discount}
    for name in ("discount", "promotion_code", "coupon"):
        if discount.get(name):
            return {name: _plain(discount[name])}
    return {"discount": discount["id"]}


def _plain(value: Any) -> Any:
    """Write an expanded object as its id, in lists too."""
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict) and {"object", "id"} <= set(cast("dict[str, Any]", value)):
        return cast("dict[str, Any]", value)["id"]
    return cast("Any", value)
