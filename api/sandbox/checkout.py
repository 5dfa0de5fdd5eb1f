"""Checkout: sessions in subscription mode, and what the customer does on their page."""

from __future__ import annotations

from typing import Any

from . import bills, collection, payments
from .cards import AUTHENTICATE, CARDS, DECLINES, OK, offered
from .catalog import metadata, require
from .customers import create_customer, create_setup_intent, set_up
from .errors import EMPTY, NOTHING, Obj, StripeError, invalid, missing
from .invoices import authenticate as authenticate_intent
from .ledger import Ledger, in_range, paged
from .lifecycle import expire_session
from .periods import DAY, HOUR
from .subscriptions import open_subscription

SHORTEST, LONGEST = HOUR // 2, DAY


def create_session(w: Ledger, p: Obj) -> Obj:
    """POST /v1/checkout/sessions"""
    mode = p.get("mode")
    if mode is None:
        raise missing("mode")
    if mode == "payment" or (mode == "setup" and not p.get("customer")):
        raise invalid(f"The sandbox has Checkout in subscription mode only, not {mode}.", "mode")
    ui_mode = p.get("ui_mode") or "hosted_page"
    if ui_mode == "hosted_page" and not p.get("success_url"):
        raise missing("success_url")
    if p.get("customer"):
        customer = w.of("customer", p["customer"], "customer")
        if p.get("customer_email"):
            raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    else:
        customer = None
    if p.get("allow_promotion_codes") is not None and p.get("discounts"):
        raise invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.",
                      "discounts")  # fmt: skip
    items = _line_items(w, p) if mode == "subscription" else []
    session = _new_session(w, p, customer, items)
    w.put(session)
    w.note(session["id"]).update({"params": p, "items": items})
    return session


def _line_items(w: Ledger, p: Obj) -> list[Obj]:
    if not p.get("line_items"):
        raise missing("line_items")
    items: list[Obj] = []
    for n, given in enumerate(p["line_items"]):
        param = f"line_items[{n}]"
        require(given, "price")
        price = w.of("price", given["price"], f"{param}[price]")
        if not price["active"]:
            raise invalid(f"The price specified is inactive. This field only accepts active prices.: {price['id']}",
                          f"{param}[price]")  # fmt: skip
        quantity = given.get("quantity", 1)
        if quantity < 1:
            raise invalid("This value must be greater than or equal to 1.", f"{param}[quantity]")
        amount = int(price["unit_amount"] or 0) * quantity
        product = w.find("product", price["product"]) or NOTHING
        items.append({
            "id": w.new_id("li_"), "object": "item", "adjustable_quantity": None, "amount_discount": 0,
            "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount, "currency": price["currency"],
            "description": product.get("name"), "metadata": {}, "price": dict(price), "quantity": quantity,
        })  # fmt: skip
    if not any(item["price"]["type"] == "recurring" for item in items):
        raise invalid("You must provide at least one recurring price in `subscription` mode when using prices.",
                      "line_items")  # fmt: skip
    return items


def _expiry(w: Ledger, p: Obj) -> int:
    at = int(p.get("expires_at") or w.now + LONGEST)
    if not w.now + SHORTEST - 60 <= at <= w.now + LONGEST + 60:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
                      "Session creation.", "expires_at")  # fmt: skip
    return at


def _new_session(w: Ledger, p: Obj, customer: Obj | None, items: list[Obj]) -> Obj:
    id_ = w.new_id("cs_test_")
    trial = _trial(w, p)
    subtotal = 0 if trial else sum(int(i["amount_subtotal"]) for i in items)
    off = 0 if trial else _discount_off(w, p, subtotal)
    ui_mode = p.get("ui_mode") or "hosted_page"
    email = (customer or NOTHING).get("email") or p.get("customer_email")
    return {
        "id": id_, "object": "checkout.session", "adaptive_pricing": {"enabled": False},
        "after_expiration": None, "allow_promotion_codes": p.get("allow_promotion_codes"),
        "allowed_payment_method_types": None,
        "amount_subtotal": subtotal, "amount_total": subtotal - off,
        "automatic_tax": {"enabled": bool((p.get("automatic_tax") or NOTHING).get("enabled")), "liability": None,
                          "provider": None, "status": None},
        "billing_address_collection": p.get("billing_address_collection"), "cancel_url": p.get("cancel_url"),
        "client_reference_id": p.get("client_reference_id"),
        "client_secret": f"{id_}_secret_{w.new_id('')}" if ui_mode != "hosted_page" else None,
        "collected_information": None, "consent": None, "consent_collection": None, "created": w.now,
        "currency": items[0]["currency"] if items else p.get("currency"), "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None,
                        "terms_of_service_acceptance": None},
        "customer": customer["id"] if customer else None, "customer_account": None,
        "customer_creation": None if customer else "always",
        "customer_details": _details(email, (customer or NOTHING).get("name")) if email else None,
        "customer_email": p.get("customer_email"),
        "discounts": [{"coupon": d.get("coupon"), "promotion_code": d.get("promotion_code")}
                      for d in p.get("discounts") or EMPTY],
        "expires_at": _expiry(w, p), "integration_identifier": None, "invoice": None,
        "invoice_creation": None, "livemode": False, "locale": p.get("locale"), "managed_payments": None,
        "metadata": metadata(p), "mode": p["mode"], "optional_items": [], "origin_context": None,
        "payment_intent": None, "payment_link": None,
        "payment_method_collection": p.get("payment_method_collection", "always"),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required" if p["mode"] == "setup" else "unpaid",
        "permissions": None, "phone_number_collection": {"enabled": False}, "recovered_from": None,
        "redirect_on_completion": "always",
        "return_url": p.get("return_url", ""), "saved_payment_method_options": None, "setup_intent": None,
        "shipping_address_collection": None, "shipping_cost": None, "shipping_options": [],
        "status": "open", "submit_type": None, "subscription": None, "success_url": p.get("success_url"),
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": ui_mode, "url": f"{w.public_url}/c/{id_}" if ui_mode == "hosted_page" else None,
        "wallet_options": None,
    }  # fmt: skip


def _details(email: str | None, name: str | None) -> Obj:
    return {"address": None, "business_name": None, "email": email, "individual_name": None, "name": name,
            "phone": None, "tax_exempt": "none", "tax_ids": []}  # fmt: skip


def _trial(w: Ledger, p: Obj) -> bool:
    data = p.get("subscription_data") or NOTHING
    days = data.get("trial_period_days")
    if days is not None and days < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")
    if data.get("trial_end") is not None and int(data["trial_end"]) < w.now + 2 * DAY:
        raise invalid("The `trial_end` date has to be at least 2 days in the future.",
                      "subscription_data[trial_end]")  # fmt: skip
    return bool(days or data.get("trial_end"))


def _discount_off(w: Ledger, p: Obj, subtotal: int) -> int:
    off = 0
    for n, each in enumerate(p.get("discounts") or EMPTY):
        name = each.get("coupon")
        if code := each.get("promotion_code"):
            promotion = w.of("promotion_code", code, f"discounts[{n}][promotion_code]")
            if not promotion["active"]:
                raise invalid("This promotion code is inactive.", f"discounts[{n}][promotion_code]")
            name = promotion["promotion"]["coupon"]
        coupon = w.of("coupon", name, f"discounts[{n}][coupon]")
        left = subtotal - off
        percent = coupon["percent_off"]
        off += round(left * percent / 100) if percent else min(int(coupon["amount_off"] or 0), left)
    return off


def get_session(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/checkout/sessions/:id"""
    return w.get("checkout.session", id_)


def list_sessions(w: Ledger, p: Obj) -> Obj:
    """GET /v1/checkout/sessions"""
    return w.page("checkout.session", p, "/v1/checkout/sessions", lambda o: (
        ("customer" not in p or o["customer"] == p["customer"])
        and ("subscription" not in p or o["subscription"] == p["subscription"])
        and ("status" not in p or o["status"] == p["status"]) and in_range(o["created"], p.get("created"))
    ))  # fmt: skip


def line_items(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/checkout/sessions/:id/line_items"""
    w.get("checkout.session", id_)
    return paged(list(w.notes[id_]["items"]), p, f"/v1/checkout/sessions/{id_}/line_items")


def expire(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/checkout/sessions/:id/expire"""
    session = w.get("checkout.session", id_)
    if session["status"] != "open":
        raise invalid("Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session "
                      f"has a status of {session['status']}.")  # fmt: skip
    expire_session(w, session)
    return session


# -- the page --------------------------------------------------------------------------------------


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
        "trial_days": days or 0, "quantity": item.get("quantity", 1),
        "customer_email": (session["customer_details"] or NOTHING).get("email"), "cards": offered(),
        "expires_at": session["expires_at"], "status": session["status"],
        "card_required": _card_required(session), "allow_promotion_codes": session["allow_promotion_codes"],
        "amount_total": session["amount_total"], "amount_discount": session["total_details"]["amount_discount"],
        "awaiting_authentication": _waiting(w, session) is not None,
    }  # fmt: skip


def _card_required(session: Obj) -> bool:
    return bool(session["payment_method_collection"] == "always" or session["amount_total"])


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
    off = _discount_off(w, params, int(session["amount_subtotal"]))
    w.touch(session)["discounts"] = [{"coupon": None, "promotion_code": found["id"]}]
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"]["amount_discount"] = off
    return view(w, id_)


def pay(w: Ledger, id_: str, card_number: str | None, email: str | None = None) -> Obj:
    """The customer presses the button with this card. A decline is a 402, and nothing was made."""
    session = _open_session(w, id_)
    card = CARDS.get((card_number or "").replace(" ", ""))
    if card is None and (card_number or _card_required(session)):
        raise payments.refusal("incorrect_number")
    started = w.find("subscription", session["subscription"])
    if started is not None and started["status"] != "incomplete":
        raise StripeError(410, "The subscription of this Checkout Session has ended.", code="session_not_open")
    if card is not None and card.setup in DECLINES:
        raise _undone(payments.refusal(card.setup))
    customer = _customer(w, session, email)
    method = _attach(w, customer, card.number) if card else None
    if session["mode"] == "setup":
        return _complete(w, session, None)
    if started is not None:
        return _pay_started(w, session, started, method)
    free = session["amount_total"] == 0
    if free and method is not None:
        outcome = _set_up(w, session, method)
        if outcome == AUTHENTICATE:
            return {"status": "requires_action"}
    return _subscribe(w, session, customer, method)


def _undone(error: StripeError) -> StripeError:
    error.keep = False
    return error


def _customer(w: Ledger, session: Obj, email: str | None) -> Obj:
    if session["customer"]:
        return w.get("customer", session["customer"])
    given = email or session["customer_email"]
    customer = create_customer(w, {"email": given} if given else {})
    w.touch(session)
    session |= {"customer": customer["id"], "customer_details": _details(given, None)}
    return customer


def _attach(w: Ledger, customer: Obj, number: str) -> str:
    method = payments.new_method(w, CARDS[number], {"email": customer.get("email")})
    payments.attach(w, method, customer["id"])
    return str(method["id"])


def _set_up(w: Ledger, session: Obj, method: str) -> str:
    intent = create_setup_intent(w, {"customer": session["customer"], "payment_method": method})
    w.touch(session)
    outcome = set_up(w, intent)
    w.note(session["id"])["setup_intent"] = intent["id"]
    return outcome


def _subscribe(w: Ledger, session: Obj, customer: Obj, method: str | None) -> Obj:
    params = w.notes[session["id"]]["params"]
    items = [{"price": i["price"]["id"], "quantity": i["quantity"]} for i in w.notes[session["id"]]["items"]
             if i["price"]["type"] == "recurring"]  # fmt: skip
    extra = [{"price": i["price"]["id"], "quantity": i["quantity"]} for i in w.notes[session["id"]]["items"]
             if i["price"]["type"] != "recurring"]  # fmt: skip
    data = dict(params.get("subscription_data") or NOTHING)
    data |= {"items": items, "add_invoice_items": extra, "discounts": params.get("discounts")}
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
    intent = bills.intent_of(w, invoice)
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
    intent = bills.intent_of(w, invoice) if invoice else None
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
        return _subscribe(w, session, w.get("customer", session["customer"]), method)
    w.note(session["id"])["challenged"] = True
    outcome = authenticate_intent(w, intent, succeed)
    if outcome != OK:
        raise payments.refusal(outcome)
    sub = w.get("subscription", session["subscription"])
    return _complete(w, session, w.get("invoice", sub["latest_invoice"]))
