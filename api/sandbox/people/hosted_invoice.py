"""The hosted invoice page: what its buttons do."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import CARDS, DECLINES, OK
from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import invoice_document, payments
from interlock.api.sandbox.objects.invoices import pay_invoice
from interlock.api.sandbox.objects.payment_intents import authenticate as authenticate_intent


def pay_hosted(w: Ledger, name: str, number: str) -> Obj:
    """The hosted invoice page: pay with this card."""
    invoice = w.get("invoice", name)
    card = CARDS.get(number.replace(" ", ""))
    if card is None:
        raise payments.refusal("incorrect_number")
    if card.setup in DECLINES:
        raise payments.refusal(card.setup)
    method = payments.new_method(w, card, {"email": invoice["customer_email"]})
    payments.attach(w, method, invoice["customer"])
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
