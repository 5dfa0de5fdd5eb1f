"""The checkout page: what it shows, and what its buttons do."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, Card, offered
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.objects import collection, invoice_document, payments
from interlock.api.sandbox.objects.checkout_sessions import details_of, discount_off
from interlock.api.sandbox.objects.customers import create_customer
from interlock.api.sandbox.objects.payment_intents import authenticate as authenticate_intent
from interlock.api.sandbox.objects.setup_intents import create_setup_intent, set_up
from interlock.api.sandbox.objects.subscriptions import open_subscription
from interlock.api.sandbox.people.cards import attach, card_given


def view(w: Ledger, id_: str) -> Obj:
    """All that the page shows."""
    session = w.get("checkout.session", id_)
    item: Obj = w.notes[id_]["items"][0] if w.notes[id_]["items"] else {}
    price = item.get("price") or NOTHING
    data = w.notes[id_]["params"].get("subscription_data") or NOTHING
    days = data.get("trial_period_days")
    if data.get("trial_end"):
        days = (int(data["trial_end"]) - session["created"]) // DAY
    return {
        "session": session, "plan": item.get("description"), "amount": price.get("unit_amount"),
        "currency": price.get("currency"), "interval": (price.get("recurring") or NOTHING).get("interval"),
        "trial_days": days or 0, "quantity": item.get("quantity") or 1,
        "customer_email": (session["customer_details"] or NOTHING).get("email"), "cards": offered(),
        "expires_at": session["expires_at"], "status": session["status"],
        "card_required": _card_required(session), "allow_promotion_codes": session["allow_promotion_codes"],
        "amount_total": session["amount_total"], "amount_discount": session["total_details"]["amount_discount"],
        "awaiting_authentication": _waiting(w, session) is not None,
    }  # fmt: skip


def _card_required(session: Obj) -> bool:
    return bool(
        session["payment_method_collection"] == "always" or session["amount_total"] or session["mode"] == "setup"
    )


def _open_session(w: Ledger, id_: str) -> Obj:
    session = w.get("checkout.session", id_)
    if session["status"] != "open":
        raise StripeError(410, f"This Checkout Session is {session['status']}.", code="session_not_open")
    return session


def apply_promotion(w: Ledger, id_: str, code: str) -> Obj:
    """The customer types a promotion code."""
    session = _open_session(w, id_)
    found = next((o for o in w.all("promotion_code")
                  if o["code"].lower() == code.strip().lower() and o["active"]), None)  # fmt: skip
    if found is None or not session["allow_promotion_codes"]:
        raise invalid("This code is invalid.", "promotion_code")
    params = dict(w.note(id_)["params"]) | {"discounts": [{"promotion_code": found["id"]}]}
    w.note(id_)["params"] = params
    off = discount_off(w, params, int(session["amount_subtotal"]))
    w.touch(session)["discounts"] = [{"coupon": None, "promotion_code": found["id"]}]
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"]["amount_discount"] = off
    return view(w, id_)


def pay(w: Ledger, id_: str, card: str | None, email: str | None = None) -> Obj:
    """The customer presses the button with this card. A decline is a 402, and nothing was made."""
    session = _open_session(w, id_)
    typed = card_given(card or "") if card or _card_required(session) else None
    started = w.find("subscription", session["subscription"])
    if started is not None and started["status"] != "incomplete":
        raise StripeError(410, "The subscription of this Checkout Session has ended.", code="session_not_open")
    customer = _customer(w, session, email)
    if session["mode"] == "setup" and typed is not None:
        return _save(w, session, customer, typed)
    method = str(attach(w, typed, customer["id"], customer.get("email"))["id"]) if typed else None
    if started is not None:
        return _pay_started(w, session, started, method)
    free = session["amount_total"] == 0
    if free and method is not None:
        outcome = _set_up(w, session, method)
        if outcome == AUTHENTICATE:
            return {"status": "requires_action"}
    return _subscribe(w, session, customer, method)


def _customer(w: Ledger, session: Obj, email: str | None) -> Obj:
    if session["customer"]:
        return w.get("customer", session["customer"])
    given = email or session["customer_email"]
    customer = create_customer(w, {"email": given} if given else {})
    w.touch(session)
    session |= {"customer": customer["id"], "customer_details": details_of(given, None)}
    return customer


def _set_up(w: Ledger, session: Obj, method: str) -> str:
    intent = create_setup_intent(w, {"customer": session["customer"], "payment_method": method})
    w.touch(session)
    outcome = set_up(w, intent)
    w.note(session["id"])["setup_intent"] = intent["id"]
    return outcome


def _save(w: Ledger, session: Obj, customer: Obj, card: Card) -> Obj:
    """Setup mode: the card is set up and attached; it becomes nobody's default."""
    intent = w.touch(w.get("setup_intent", session["setup_intent"]))
    method = payments.new_method(w, card, {"email": customer.get("email")})
    intent |= {"customer": customer["id"], "payment_method": method["id"]}
    outcome = set_up(w, intent)
    if outcome == AUTHENTICATE:
        w.note(session["id"])["setup_intent"] = intent["id"]
        return {"status": "requires_action"}
    if outcome != OK:
        raise payments.refusal(outcome)
    return _complete(w, session, None)


def _subscribe(w: Ledger, session: Obj, customer: Obj, method: str | None) -> Obj:
    params = w.notes[session["id"]]["params"]
    bought: dict[bool, list[Obj]] = {True: [], False: []}
    for item in w.notes[session["id"]]["items"]:
        given = {"price": item["price"]["id"]}
        given |= {} if item["quantity"] is None else {"quantity": item["quantity"]}
        bought[item["price"]["type"] == "recurring"].append(given)
    data = dict(params.get("subscription_data") or NOTHING)
    data |= {"items": bought[True], "add_invoice_items": bought[False], "discounts": params.get("discounts")}
    data["automatic_tax"] = params.get("automatic_tax")
    if method is not None:
        data["default_payment_method"] = method
    sub = open_subscription(w, customer, data, checkout=True)
    w.touch(session)["subscription"] = sub["id"]
    invoice = w.get("invoice", sub["latest_invoice"])
    session["invoice"] = invoice["id"]
    return _after(w, session, sub, invoice)


def _after(w: Ledger, session: Obj, sub: Obj, invoice: Obj) -> Obj:
    """Where the first payment left it: complete, waiting for 3-D Secure, or declined."""
    if sub["status"] != "incomplete":
        return _complete(w, session, invoice)
    intent = invoice_document.intent_of(w, invoice)
    if intent is not None and intent["status"] == "requires_action":
        return {"status": "requires_action"}
    code = str(w.notes.get(invoice["id"], NOTHING).get("declined", "generic_decline"))
    error = payments.refusal(code)
    error.keep = session["subscription"] is not None and bool(w.notes[session["id"]].get("challenged"))
    raise error


def _pay_started(w: Ledger, session: Obj, sub: Obj, method: str | None) -> Obj:
    """The same session again after a failed 3-D Secure: another card for the same invoice."""
    w.touch(sub)["default_payment_method"] = method
    w.emit("customer.subscription.updated", sub)
    invoice = w.get("invoice", sub["latest_invoice"])
    w.note(session["id"])["challenged"] = True
    collection.collect(w, invoice, on_session=True, method=method, manual=True)
    return _after(w, session, sub, invoice)


def _complete(w: Ledger, session: Obj, invoice: Obj | None) -> Obj:
    w.touch(session)
    paid = "paid" if invoice is not None and invoice["amount_paid"] else "no_payment_required"
    if invoice is not None and invoice["billing_reason"] == "subscription_create" and not invoice["amount_due"]:
        paid = "no_payment_required"
    session |= {"status": "complete", "payment_status": paid, "url": None}
    w.emit("checkout.session.completed", session)
    redirect = str(session["success_url"] or session["return_url"] or "")
    return {"status": "complete", "redirect": redirect.replace("{CHECKOUT_SESSION_ID}", session["id"])}


def _waiting(w: Ledger, session: Obj) -> Obj | None:
    """The intent that waits for 3-D Secure."""
    setup: Any = w.notes[session["id"]].get("setup_intent")
    intent = w.find("setup_intent", setup)
    if intent is not None and intent["status"] == "requires_action":
        return intent
    sub = w.find("subscription", session["subscription"])
    invoice = w.find("invoice", sub["latest_invoice"]) if sub else None
    intent = invoice_document.intent_of(w, invoice) if invoice else None
    return intent if intent is not None and intent["status"] == "requires_action" else None


def authenticate(w: Ledger, id_: str, succeed: bool) -> Obj:
    """The 3-D Secure dialog was answered."""
    session = _open_session(w, id_)
    intent = _waiting(w, session)
    if intent is None:
        raise invalid("Nothing waits for authentication.")
    if intent["object"] == "setup_intent":
        if not succeed:
            intent_failed = w.touch(intent)
            intent_failed |= {"status": "requires_payment_method", "next_action": None,
                              "last_setup_error": payments.last_error(w, "authentication_failed", None)}  # fmt: skip
            w.emit("setup_intent.setup_failed", intent)
            raise payments.refusal("authentication_failed")
        method = str(intent["payment_method"])
        set_up(w, intent, authenticated=True)
        if session["mode"] == "setup":
            return _complete(w, session, None)
        return _subscribe(w, session, w.get("customer", session["customer"]), method)
    w.note(session["id"])["challenged"] = True
    outcome = authenticate_intent(w, intent, succeed)
    if outcome != OK:
        raise payments.refusal(outcome)
    sub = w.get("subscription", session["subscription"])
    return _complete(w, session, w.get("invoice", sub["latest_invoice"]))
