"""Setup intents."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, Card
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import payments


def create_setup_intent(w: Ledger, p: Obj) -> Obj:
    """POST /v1/setup_intents"""
    intent = w.new(
        "setup_intent", "seti_", p, ("customer", "description"), payment_method_types=["card"],
        payment_method_options={"card": {"mandate_options": None, "network": None,
                                         "request_three_d_secure": "automatic"}},
        status="requires_payment_method", usage=p.get("usage", "off_session"),
    )  # fmt: skip
    intent["client_secret"] = f"{intent['id']}_secret_{w.new_id('')}"
    w.put(intent)
    w.emit("setup_intent.created", intent)
    if name := p.get("payment_method"):
        intent["payment_method"] = payments.method_named(w, name)["id"]
        intent["status"] = "requires_confirmation"
    return confirm_setup_intent(w, p, intent["id"]) if p.get("confirm") else intent


def confirm_setup_intent(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/setup_intents/:id/confirm"""
    intent = w.touch(w.get("setup_intent", id_))
    if name := p.get("payment_method"):
        intent["payment_method"] = payments.method_named(w, name)["id"]
    if not intent["payment_method"]:
        raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.",
                      "payment_method", "setup_intent_unexpected_state")  # fmt: skip
    outcome = set_up(w, intent)
    if outcome not in (OK, AUTHENTICATE):
        raise payments.refusal(outcome, setup_intent=dict(intent))
    return intent


def set_up(w: Ledger, intent: Obj, authenticated: bool = False) -> str:
    """Try the setup of the intent's method."""
    method = w.get("payment_method", intent["payment_method"])
    card: Card = payments.card_of(w, method["id"])
    outcome = OK if authenticated else card.setup
    w.touch(intent)
    if outcome == AUTHENTICATE:
        url = f"{w.public_url}/3ds/{intent['id']}"
        intent |= {"status": "requires_action", "next_action": {
            "type": "redirect_to_url", "redirect_to_url": {"return_url": None, "url": url}}}  # fmt: skip
        w.emit("setup_intent.requires_action", intent)
    elif outcome == OK:
        intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
        w.note(method["id"])["set_up"] = True
        if intent["customer"]:
            payments.attach(w, method, intent["customer"], checked=False)
        w.emit("setup_intent.succeeded", intent)
    else:
        intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None,
                   "last_setup_error": payments.last_error(w, outcome, method["id"])}  # fmt: skip
        w.emit("setup_intent.setup_failed", intent)
    return outcome


def cancel_setup_intent(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/setup_intents/:id/cancel"""
    intent = w.touch(w.get("setup_intent", id_))
    if w.notes.get(id_, NOTHING).get("session"):
        raise invalid("You cannot cancel this SetupIntent because it was created by a Checkout Session. Expire the "
                      "Checkout Session instead.", code="setup_intent_unexpected_state")  # fmt: skip
    if intent["status"] in ("succeeded", "canceled"):
        raise invalid(f"You cannot cancel this SetupIntent because it has a status of {intent['status']}.",
                      code="setup_intent_unexpected_state")  # fmt: skip
    intent |= {"status": "canceled", "cancellation_reason": p.get("cancellation_reason"), "next_action": None}
    w.emit("setup_intent.canceled", intent)
    return intent


INTENTS = Resource("setup_intent", "setup_intents", create_setup_intent, filters=("customer", "payment_method"))
ROUTES = INTENTS.routes(
    ("POST", "setup_intents/*/confirm", "setup_intent_confirm", confirm_setup_intent),
    ("POST", "setup_intents/*/cancel", "setup_intent_cancel", cancel_setup_intent),
)
