"""The SDK's own methods for the resources of billing, each called once; a part of `test_sdk_drives_every_resource`."""

from __future__ import annotations

import stripe


def drive_balance(client: stripe.StripeClient, customer: str) -> None:
    """A customer's balance and its ledger."""
    v1 = client.v1.customers.balance_transactions
    row = v1.create(customer, {"amount": 100, "currency": "usd"})
    assert v1.retrieve(customer, row.id).ending_balance == 100
    assert [each.id for each in v1.list(customer).data] == [row.id]
    v1.create(customer, {"amount": -100, "currency": "usd"})


def drive_schedules(client: stripe.StripeClient, price: str) -> None:
    """A schedule taken from a subscription, changed, released; one that is canceled with its subscription."""
    v1 = client.v1
    owner = v1.customers.create({"payment_method": "pm_card_visa",
                                 "invoice_settings": {"default_payment_method": "pm_card_visa"}})  # fmt: skip
    sub = v1.subscriptions.create({"customer": owner.id, "items": [{"price": price}]})
    schedule = v1.subscription_schedules.create({"from_subscription": sub.id})
    now = schedule.phases[0]
    v1.subscription_schedules.update(schedule.id, {"end_behavior": "release", "phases": [
        {"items": [{"price": price}], "start_date": now.start_date, "end_date": now.end_date},
        {"items": [{"price": price, "quantity": 2}], "duration": {"interval": "month"}},
    ]})  # fmt: skip
    assert v1.subscriptions.retrieve(sub.id).schedule == schedule.id
    v1.invoices.create_preview({"schedule": schedule.id})
    assert v1.prices.retrieve(price).id in [each.id for each in v1.prices.list({"limit": 100}).data]
    assert v1.subscription_schedules.release(schedule.id).released_subscription == sub.id
    again = v1.subscription_schedules.create({"from_subscription": sub.id})
    assert v1.subscription_schedules.cancel(again.id).status == "canceled"
    assert v1.subscription_schedules.list({"customer": owner.id}).data[1].id == schedule.id
    assert v1.subscription_schedules.retrieve(schedule.id).status == "released"


def drive_meters(client: stripe.StripeClient, customer: str) -> None:
    """A meter with its name changed, turned off and on, its summaries, and an event taken back."""
    v1 = client.v1.billing
    meter = v1.meters.create({"display_name": "d", "event_name": "driven", "default_aggregation": {"formula": "count"}})
    v1.meters.update(meter.id, {"display_name": "e"})
    v1.meters.deactivate(meter.id)
    assert v1.meters.reactivate(meter.id).status == "active"
    v1.meter_events.create({"event_name": "driven", "payload": {"stripe_customer_id": customer}, "identifier": "one"})
    v1.meter_event_adjustments.create({"event_name": "driven", "type": "cancel", "cancel": {"identifier": "one"}})
    v1.meters.event_summaries.list(meter.id, {"customer": customer, "start_time": 0, "end_time": 60})
    grant = v1.credit_grants.create({
        "customer": customer, "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 500}},
        "applicability_config": {"scope": {"price_type": "metered"}}, "category": "promotional",
    })  # fmt: skip
    assert v1.credit_grants.retrieve(grant.id).priority == 50
    assert [each.id for each in v1.credit_grants.list({"customer": customer}).data] == [grant.id]
