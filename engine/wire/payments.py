"""Paying an open invoice: one call, and what its refusals mean."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from interlock.engine.errors import CardDeclined, NotAccepted
from interlock.engine.wire import billing
from interlock.engine.wire.client import StripeClient

_ACTION: Final = ("invoice_payment_intent_requires_action", "authentication_required")


async def pay_invoice(stripe: StripeClient, invoice: billing.Invoice, key: str) -> None:
    """Try to pay an invoice now; raise NotAccepted, with the invoice's `url`, where the card or the bank says no."""
    path = f"invoices/{quote(invoice.id, safe='')}/pay"
    try:
        await stripe.post(path, billing.Reference, {}, idempotency_key=key)
    except CardDeclined as error:
        url = invoice.hosted_invoice_url
        if error.reason in _ACTION:
            raise NotAccepted("payment_action_required", url=url) from error
        raise NotAccepted("payment_method_required", url=url, decline_code=error.decline_code) from error
