"""The hosted invoice page: what it shows, and what its buttons do."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import OK, offered
from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import invoice_document, payments
from interlock.api.sandbox.objects.invoices import pay_invoice
from interlock.api.sandbox.objects.payment_intents import authenticate as authenticate_intent
from interlock.api.sandbox.people.cards import attach, card_given


def view(w: Ledger, name: str) -> Obj:
    """All that the page shows."""
    return {"invoice": w.get("invoice", name), "cards": offered()}


def pay_hosted(w: Ledger, name: str, card: str) -> Obj:
    """Pay with this card."""
    invoice = w.get("invoice", name)
    method = attach(w, card_given(card), invoice["customer"], invoice["customer_email"])
    return pay_invoice(w, {"payment_method": method["id"], "off_session": False}, name)


def authenticate_hosted(w: Ledger, name: str, succeed: bool) -> Obj:
    """Answer the 3-D Secure that paying this invoice asked for."""
    invoice = w.get("invoice", name)
    intent = invoice_document.intent_of(w, invoice)
    if intent is None:
        raise invalid("Nothing waits for authentication.")
    outcome = authenticate_intent(w, intent, succeed)
    if outcome != OK:
        raise payments.refusal(outcome)
    return invoice
