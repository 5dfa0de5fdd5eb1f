"""Payment intents and charges as resources, and the answer to 3-D Secure."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, PROCESSING
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects import collection, payments


def create_payment_intent(w: Ledger, p: Obj) -> Obj:
    """POST /v1/payment_intents"""
    require(p, "amount", "currency")
    if p["amount"] < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount",
                      "parameter_invalid_integer")  # fmt: skip
    more = {key: p[key] for key in ("description", "capture_method", "receipt_email", "setup_future_usage",
                                    "shipping", "statement_descriptor", "transfer_group") if key in p}  # fmt: skip
    intent = payments.new_intent(w, p["amount"], p["currency"], p.get("customer"), metadata=metadata(p), **more)
    if name := p.get("payment_method") or p.get("source"):
        intent["payment_method"] = payments.method_named(w, name)["id"]
        intent["status"] = "requires_confirmation"
    return _confirm(w, intent, p) if p.get("confirm") else intent


def confirm_payment_intent(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_intents/:id/confirm"""
    intent = w.get("payment_intent", id_)
    if name := p.get("payment_method"):
        w.touch(intent)["payment_method"] = payments.method_named(w, name)["id"]
    return _confirm(w, intent, p)


def _confirm(w: Ledger, intent: Obj, p: Obj) -> Obj:
    if intent["status"] in ("succeeded", "canceled", "requires_capture", "processing"):
        raise invalid(f"This PaymentIntent's status is {intent['status']}; it cannot be confirmed.",
                      code="payment_intent_unexpected_state")  # fmt: skip
    method = intent["payment_method"]
    if not method:
        raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.",
                      "payment_method", "payment_intent_unexpected_state")  # fmt: skip
    outcome = payments.confirm(w, intent, method, on_session=not p.get("off_session"))
    invoice = invoice_paid_by(w, intent)
    if invoice is not None and outcome != AUTHENTICATE:
        collection.conclude(w, invoice, outcome, method, manual=True)
    if outcome not in (OK, AUTHENTICATE, PROCESSING):
        raise payments.refusal(outcome, payment_intent=dict(intent))
    return intent


def invoice_paid_by(w: Ledger, intent: Obj) -> Obj | None:
    """The open invoice that this intent would pay."""
    for payment in w.all("invoice_payment"):
        if payment["payment"]["payment_intent"] == intent["id"] and payment["status"] == "open":
            return w.find("invoice", payment["invoice"])
    return None


def authenticate(w: Ledger, intent: Obj, succeed: bool) -> str:
    """3-D Secure was passed or not; the invoice and its subscription follow."""
    if intent["status"] != "requires_action":
        raise invalid("This payment does not wait for authentication.", code="payment_intent_unexpected_state")
    method = str(intent["payment_method"])
    if succeed:
        outcome = payments.confirm(w, intent, method, on_session=True, authenticated=True)
    else:
        outcome = payments.fail_authentication(w, intent)
    invoice = invoice_paid_by(w, intent)
    if invoice is not None:
        collection.conclude(w, invoice, outcome, method, manual=True)
    return outcome


def settle_delayed(w: Ledger, intent: Obj) -> None:
    """A delayed payment ends. A first invoice whose payment failed is voided, others are tried again.

    Voided, and the subscription stays active: so Stripe's overview says.
    """
    invoice, method = invoice_paid_by(w, intent), str(intent["payment_method"])
    outcome = payments.conclude_delayed(w, intent)
    if invoice is None or invoice["status"] != "open":
        return
    if outcome == OK:
        collection.mark_paid(w, invoice)
    elif invoice["billing_reason"] == "subscription_create":
        collection.annul(w, invoice)
    else:
        collection.conclude(w, invoice, outcome, method, manual=False)


def _change(w: Ledger, intent: Obj, p: Obj) -> None:
    if name := p.get("payment_method"):
        intent["payment_method"] = payments.method_named(w, name)["id"]
        intent["status"] = "requires_confirmation"


def cancel_payment_intent(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_intents/:id/cancel"""
    intent = w.get("payment_intent", id_)
    if intent["status"] in ("succeeded", "canceled"):
        raise invalid(f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
                      code="payment_intent_unexpected_state")  # fmt: skip
    return payments.cancel_intent(w, intent, p.get("cancellation_reason"))


def capture_payment_intent(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_intents/:id/capture"""
    intent = w.touch(w.get("payment_intent", id_))
    if intent["status"] != "requires_capture":
        raise invalid(f"This PaymentIntent could not be captured because it has a status of "
                      f"{intent['status']}.", code="payment_intent_unexpected_state")  # fmt: skip
    amount = p.get("amount_to_capture", intent["amount"])
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    charge = w.touch(w.get("charge", intent["latest_charge"]))
    charge |= {"captured": True, "amount_captured": amount}
    w.emit("charge.captured", charge)
    w.emit("payment_intent.succeeded", intent)
    return intent


def _settles_at(w: Ledger, intent: Obj) -> int | None:
    return w.notes.get(intent["id"], NOTHING).get("settles_at")


RULES = {"payment_intent": (Rule("delayed payment ends", one("processing"), _settles_at, settle_delayed),)}
INTENTS = Resource(
    "payment_intent", "payment_intents", create_payment_intent,
    ("amount", "description", "receipt_email", "setup_future_usage"), _change, filters=("customer",),
)  # fmt: skip
CHARGES = Resource("charge", "charges", filters=("customer", "payment_intent"))
ROUTES = CHARGES.routes() + INTENTS.routes(
    ("POST", "payment_intents/*/confirm", "payment_intent_confirm", confirm_payment_intent),
    ("POST", "payment_intents/*/cancel", "payment_intent_cancel", cancel_payment_intent),
    ("POST", "payment_intents/*/capture", "payment_intent_capture", capture_payment_intent),
)
