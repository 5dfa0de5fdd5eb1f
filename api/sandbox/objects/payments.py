"""Cards and bank accounts attached and charged: payment methods, payment intents, charges."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.cards import (
    AUTHENTICATE,
    BANK_ACCOUNTS,
    CARDS,
    DECLINES,
    OK,
    PROCESSING,
    ROUTING_NUMBER,
    Card,
    of_token,
)
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, declined, invalid, no_such
from interlock.api.sandbox.core.forms import cleared
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY

NO_METHOD = "no_method"
SETTLES_AFTER = 4 * DAY  # Stripe: up to four business days


def card_of(w: Ledger, method: str) -> Card:
    """The test card or account behind a payment method or a legacy card."""
    number = str(w.notes.get(method, NOTHING).get("number", "4242424242424242"))
    return BANK_ACCOUNTS[number] if number in BANK_ACCOUNTS else CARDS[number]


def outcome_of(w: Ledger, method: str, on_session: bool) -> str:
    """What charging this method does now: OK, AUTHENTICATE or a decline code."""
    note = w.notes.get(method, {})
    if switched := note.get("switch"):
        return str(switched)
    card = card_of(w, method)
    if on_session and card.first == AUTHENTICATE and note.get("set_up") and card.later == OK:
        return OK  # the card that asks once has been asked
    return card.first if on_session else card.later


def card_fields(card: Card) -> Obj:
    """The `card` hash of a payment method."""
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp{card.number[-14:]}",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def account_fields(account: Card) -> Obj:
    """The `us_bank_account` hash of a payment method."""
    return {
        "account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None, "fingerprint": f"fp{account.number}",
        "last4": account.number[-4:], "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": ROUTING_NUMBER, "status_details": None,
    }  # fmt: skip


def new_method(w: Ledger, card: Card, billing: Obj | None = None, metadata: Obj | None = None) -> Obj:
    """A payment method, not attached yet."""
    details: Obj = {"address": dict(_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None}
    method = w.new(
        "payment_method", "pm_", allow_redisplay="unspecified", billing_details=details | cleared(billing),
        metadata=metadata or {}, type=card.type,
    )  # fmt: skip
    method[card.type] = card_fields(card) if card.type == "card" else account_fields(card)
    w.note(method["id"])["number"] = card.number
    return w.put(method)


_ADDRESS: Obj = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None,
                 "state": None}  # fmt: skip


def method_named(w: Ledger, name: str, param: str = "payment_method") -> Obj:
    """A payment method by id, or a new one for a `pm_card_…`, `pm_usBankAccount_…` or `tok_…` name."""
    card = of_token(name)
    if card is not None:
        return new_method(w, card)
    found = w.find("payment_method", name)
    if found is None:
        raise no_such("PaymentMethod", name, param, 404 if param == "id" else 400)
    return found


def attach(w: Ledger, method: Obj, customer: str, *, checked: bool = True) -> Obj:
    """Attach to a customer; a card that declines is refused here, as Stripe refuses it."""
    if method["customer"] == customer:
        return method
    if method["customer"]:
        raise invalid("The payment method you provided has already been attached to a customer.",
                      "payment_method")  # fmt: skip
    card = card_of(w, method["id"])
    if checked and card.setup in DECLINES:
        raise refusal(card.setup, payment_method=None)
    w.touch(method)["customer"] = customer
    w.emit("payment_method.attached", method)
    return method


def refusal(code: str, **more: Any) -> StripeError:
    """The card error for a decline code."""
    error, message = DECLINES.get(code, DECLINES["generic_decline"])
    return declined(error, None if error == code else code, message, **more)


def last_error(w: Ledger, code: str, method: str | None) -> Obj:
    """`last_payment_error` of an intent."""
    error: Obj = dict(refusal(code).error)
    if method and (found := w.find("payment_method", method)):
        error["payment_method"] = dict(found)
    return error


# -- payment intents -------------------------------------------------------------------------------


def new_intent(w: Ledger, amount: int, currency: str, customer: str | None, **more: Any) -> Obj:
    """A payment intent that waits for a payment method."""
    intent = w.new(
        "payment_intent", "pi_", amount=amount, amount_capturable=0, amount_received=0, capture_method="automatic",
        confirmation_method="automatic", currency=currency, customer=customer, payment_method_types=["card"],
        payment_method_options={"card": {"installments": None, "mandate_options": None, "network": None,
                                         "request_three_d_secure": "automatic"}},
        status="requires_payment_method",
    )  # fmt: skip
    intent |= {"client_secret": f"{intent['id']}_secret_{w.new_id('')}"} | more
    w.put(intent)
    w.emit("payment_intent.created", intent)
    return intent


def confirm(w: Ledger, intent: Obj, method: str, *, on_session: bool, authenticated: bool = False) -> str:
    """Charge: returns OK, AUTHENTICATE, PROCESSING or the decline code, and leaves the traces of it."""
    outcome = outcome_of(w, method, on_session)
    if authenticated:
        switched = w.notes.get(method, NOTHING).get("switch")
        outcome = OK if switched else card_of(w, method).authenticated
    w.touch(intent)
    intent |= {"payment_method": method if w.find("payment_method", method) else None, "next_action": None}
    if outcome == AUTHENTICATE:
        intent |= {"status": "requires_action", "next_action": _next_action(w, intent)}
        w.emit("payment_intent.requires_action", intent)
        return outcome
    charge = _charge(w, intent, method, outcome)
    intent["latest_charge"] = charge["id"]
    if outcome == PROCESSING:
        intent |= {"status": "processing", "last_payment_error": None}
        w.note(intent["id"]).update({"settles_at": w.now + SETTLES_AFTER, "test_clock": w.clock})
        w.emit("charge.pending", charge)
        w.emit("payment_intent.processing", intent)
        return outcome
    if outcome == OK and authenticated:
        w.note(method)["set_up"] = True
    return _finish(w, intent, charge, method, outcome)


def conclude_delayed(w: Ledger, intent: Obj) -> str:
    """A delayed payment ends: returns OK or the decline code."""
    method = str(intent["payment_method"])
    outcome = card_of(w, method).settled
    charge = w.touch(w.get("charge", intent["latest_charge"]))
    charge |= _result(intent, outcome)
    return _finish(w, w.touch(intent), charge, method, outcome)


def _finish(w: Ledger, intent: Obj, charge: Obj, method: str, outcome: str) -> str:
    """The charge went through, or did not."""
    if outcome == OK:
        manual = intent["capture_method"] == "manual"
        intent |= {
            "status": "requires_capture" if manual else "succeeded",
            "amount_received": 0 if manual else intent["amount"],
            "amount_capturable": intent["amount"] if manual else 0,
            "last_payment_error": None,
        }
        w.emit("charge.succeeded", charge)
        w.emit("payment_intent.amount_capturable_updated" if manual else "payment_intent.succeeded", intent)
        return OK
    intent |= {"status": "requires_payment_method", "last_payment_error": last_error(w, outcome, method)}
    intent["payment_method"] = None
    w.emit("charge.failed", charge)
    w.emit("payment_intent.payment_failed", intent)
    return outcome


def _next_action(w: Ledger, intent: Obj) -> Obj:
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": None, "url": f"{w.public_url}/3ds/{intent['id']}"},
    }


def fail_authentication(w: Ledger, intent: Obj) -> str:
    """The customer did not pass 3-D Secure."""
    code = "authentication_failed"
    w.touch(intent)
    intent |= {
        "status": "requires_payment_method",
        "next_action": None,
        "last_payment_error": last_error(w, code, intent["payment_method"]),
        "payment_method": None,
    }
    w.emit("payment_intent.payment_failed", intent)
    return code


def cancel_intent(w: Ledger, intent: Obj, reason: str | None = None) -> Obj:
    """Cancel, unless it is over already."""
    if intent["status"] in ("succeeded", "canceled"):
        return intent
    w.touch(intent)
    intent |= {"status": "canceled", "canceled_at": w.now, "cancellation_reason": reason,
               "amount_capturable": 0, "next_action": None}  # fmt: skip
    w.emit("payment_intent.canceled", intent)
    return intent


def _charge(w: Ledger, intent: Obj, method: str, outcome: str) -> Obj:
    """The charge of one attempt, as the annotations of Stripe's SDK have it."""
    card = card_of(w, method)
    details: Obj = {"last4": card.number[-4:]}
    if card.type == "card":
        details |= {"brand": card.brand, "country": "US", "exp_month": 12, "exp_year": 2034, "funding": card.funding}
    charge = w.new(
        "charge", "ch_", amount=intent["amount"], amount_refunded=0, currency=intent["currency"],
        billing_details={"address": dict(_ADDRESS), "email": None, "name": None, "phone": None},
        customer=intent["customer"], description=intent["description"], disputed=False,
        metadata=dict(intent["metadata"]), payment_intent=intent["id"], payment_method=method,
        payment_method_details={card.type: details, "type": card.type}, refunded=False,
    )  # fmt: skip
    return w.put(charge | _result(intent, outcome))


def _result(intent: Obj, outcome: str) -> Obj:
    """The fields of a charge that tell how it went."""
    ok, waits = outcome == OK, outcome == PROCESSING
    captured = (ok or waits) and intent["capture_method"] != "manual"
    error, message = DECLINES.get(outcome, (None, None))
    return {
        "amount_captured": intent["amount"] if captured else 0,
        "captured": captured,
        "failure_code": error,
        "failure_message": message,
        "outcome": None if waits else {
            "network_status": "approved_by_network" if ok else "declined_by_network",
            "reason": None if ok else outcome,
            "seller_message": "Payment complete." if ok else message,
            "type": "authorized" if ok else "issuer_declined",
        },
        "paid": ok,
        "status": "succeeded" if ok else "pending" if waits else "failed",
    }  # fmt: skip
