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
