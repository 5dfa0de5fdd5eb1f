"""Customers, their payment methods, and setup intents."""

from __future__ import annotations

from . import collection, payments
from .cards import AUTHENTICATE, BANK_ACCOUNTS, CARDS, DECLINES, OK, Card, of_token
from .catalog import assign, cleared, merge_metadata, metadata, require
from .discounts import Use, redeem
from .errors import NOTHING, Obj, invalid, no_such
from .ledger import Ledger, in_range, same
from .params import check, whole

FIELDS = ("address", "balance", "description", "email", "name", "phone", "preferred_locales", "shipping",
          "tax_exempt", "business_name", "individual_name", "invoice_prefix")  # fmt: skip


def _assign(customer: Obj, p: Obj) -> None:
    """Take the plain fields; two of them are either there or not, never null."""
    assign(customer, p, *FIELDS)
    for name in ("business_name", "individual_name"):
        if customer.get(name, "") is None:
            del customer[name]


def create_customer(w: Ledger, p: Obj) -> Obj:
    """POST /v1/customers"""
    if clock := p.get("test_clock"):
        w.of("test_helpers.test_clock", clock, "test_clock")
        w.clock = clock
    customer: Obj = {
        "id": w.new_id("cus_"), "object": "customer", "address": None, "balance": 0, "created": w.now,
        "currency": None, "customer_account": None, "default_source": None, "delinquent": False,
        "description": None, "discount": None, "email": None, "invoice_prefix": w.new_id("")[:8].upper(),
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None,
                             "rendering_options": None},
        "livemode": False, "metadata": metadata(p), "name": None, "next_invoice_sequence": 1,
        "phone": None, "preferred_locales": [], "shipping": None, "tax_exempt": "none",
        "test_clock": clock,
    }  # fmt: skip
    _assign(customer, p)
    w.put(customer)
    w.emit("customer.created", customer)
    _methods(w, customer, p)
    _discount(w, customer, p)
    return customer


def _discount(w: Ledger, customer: Obj, p: Obj) -> None:
    """A customer's own coupon: taken, changed for another, or given up with an empty string."""
    if "coupon" not in p:
        return
    old = w.find("discount", (customer["discount"] or NOTHING).get("id"))
    if p["coupon"]:
        new = w.get("discount", redeem(w, [{"coupon": p["coupon"]}], Use(customer["id"]), customer=customer["id"])[0])
        if old is None:
            w.emit("customer.discount.created", new)
        else:  # Stripe keeps the one discount and changes what it stands for
            w.touch(old).update({key: new[key] for key in ("source", "start", "end", "promotion_code")})
            w.forget("discount", new)
            w.emit("customer.discount.updated", old)
        w.touch(customer)["discount"] = dict(old or new)
    elif old is not None:
        w.emit("customer.discount.deleted", old)
        w.touch(customer)["discount"] = None


def _methods(w: Ledger, customer: Obj, p: Obj) -> None:
    """`payment_method`, `source` and the default of the invoice settings."""
    if name := p.get("payment_method"):
        payments.attach(w, payments.method_named(w, name), customer["id"])
    if name := p.get("source"):
        customer["default_source"] = add_source(w, customer, name)["id"]
    settings = p.get("invoice_settings") or NOTHING
    if "default_payment_method" in settings:
        name = settings["default_payment_method"] or None
        if name and name != p.get("payment_method"):
            method = payments.method_named(w, name, "invoice_settings[default_payment_method]")
            if method["customer"] != customer["id"]:
                raise invalid("The customer does not have a payment method with the ID " + name,
                              "invoice_settings[default_payment_method]")  # fmt: skip
        elif name:
            name = next(m["id"] for m in reversed(w.all("payment_method"))
                        if m["customer"] == customer["id"])  # fmt: skip
        w.touch(customer)["invoice_settings"]["default_payment_method"] = name


def add_source(w: Ledger, customer: Obj, token: str) -> Obj:
    """A legacy card from a token."""
    card = of_token(token)
    if card is None:
        raise no_such("token", token, "source", 400)
    if card.setup in DECLINES:
        raise payments.refusal(card.setup)
    source: Obj = {
        "id": w.new_id("card_"), "object": "card", "brand": card.brand.title(), "country": card.country,
        "customer": customer["id"], "exp_month": 12, "exp_year": 2034, "funding": card.funding,
        "last4": card.number[-4:], "metadata": {}, "name": None,
    }  # fmt: skip
    w.note(source["id"])["number"] = card.number
    w.put(source)
    w.emit("customer.source.created", source)
    return source


def create_source(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/customers/:id/sources"""
    p = check("customer_payment_source_create", p)
    require(p, "source")
    customer = w.get("customer", id_)
    source = add_source(w, customer, p["source"])
    if not customer["default_source"]:
        w.touch(customer)["default_source"] = source["id"]
        w.emit("customer.updated", customer)
    return source


def update_source(w: Ledger, p: Obj, _customer: str, id_: str) -> Obj:
    """POST /v1/customers/:id/sources/:id"""
    p = check("customer_payment_source_update", p)
    source = w.touch(w.get("card", id_))
    assign(source, p, "name")
    for name in ("exp_month", "exp_year"):  # text by the annotations, a number on the card
        if name in p:
            source[name] = whole(p[name], name)
    merge_metadata(source, p)
    w.emit("customer.source.updated", source)
    return source


def get_customer(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/customers/:id; a deleted one is a stub."""
    return w.get("customer", id_)


def update_customer(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/customers/:id"""
    customer = w.touch(_living(w, id_))
    _assign(customer, p)
    merge_metadata(customer, p)
    _methods(w, customer, p)
    _discount(w, customer, p)
    w.emit("customer.updated", customer)
    return customer


def _living(w: Ledger, id_: str) -> Obj:
    customer = w.get("customer", id_)
    if customer.get("deleted"):
        raise no_such("customer", id_)
    return customer


def delete_customer(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/customers/:id; cancels the subscriptions at once."""
    customer = _living(w, id_)
    for sub in w.all("subscription"):
        if sub["customer"] == id_ and sub["status"] not in ("canceled", "incomplete_expired"):
            collection.end(w, sub, reason="cancellation_requested")
    for invoice in w.all("invoice"):
        if invoice["customer"] == id_ and invoice["status"] in ("draft", "open"):
            w.touch(invoice)
            invoice |= {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}
    w.emit("customer.deleted", customer)
    return w.replace(customer, {"id": id_, "object": "customer", "deleted": True})


def list_customers(w: Ledger, p: Obj) -> Obj:
    """GET /v1/customers; those on a test clock only when it is named."""
    return w.page("customer", p, "/v1/customers", lambda o: (
        o["test_clock"] == p.get("test_clock") and same(o, p, "email")
        and in_range(o["created"], p.get("created"))
    ))  # fmt: skip


# -- payment methods -------------------------------------------------------------------------------


def create_payment_method(w: Ledger, p: Obj) -> Obj:
    """POST /v1/payment_methods, with a test card's number or token, or a test bank account's number."""
    require(p, "type")
    given = p.get(p["type"]) or NOTHING
    if p["type"] == "card":
        card = of_token(given["token"]) if given.get("token") else CARDS.get(str(given.get("number")))
    elif p["type"] == "us_bank_account":
        card = BANK_ACCOUNTS.get(str(given.get("account_number")))
    else:
        raise invalid(f"The sandbox has cards and US bank accounts only, not {p['type']}.", "type")
    if card is None:
        raise payments.refusal("incorrect_number")
    return payments.new_method(w, card, p.get("billing_details"), metadata(p))


def get_payment_method(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/payment_methods/:id"""
    return payments.method_named(w, id_, "id")


def update_payment_method(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_methods/:id"""
    method = w.touch(w.get("payment_method", id_))
    assign(method, p, "allow_redisplay")
    method["billing_details"] |= cleared(p.get("billing_details"))
    merge_metadata(method, p)
    w.emit("payment_method.updated", method)
    return method


def attach_payment_method(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_methods/:id/attach"""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    return payments.attach(w, payments.method_named(w, id_, "id"), customer["id"])


def detach_payment_method(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/payment_methods/:id/detach; nobody keeps it as a default."""
    method = w.touch(w.get("payment_method", id_))
    if not method["customer"]:
        raise invalid("The payment method you provided is not attached to a customer so detachment is "
                      "impossible.")  # fmt: skip
    customer = w.get("customer", method["customer"])
    if customer["invoice_settings"]["default_payment_method"] == id_:
        w.touch(customer)["invoice_settings"]["default_payment_method"] = None
        w.emit("customer.updated", customer)
    for sub in w.all("subscription"):
        if sub["default_payment_method"] == id_ and sub["status"] != "canceled":
            w.touch(sub)["default_payment_method"] = None
            w.emit("customer.subscription.updated", sub)
    method["customer"] = None
    w.emit("payment_method.detached", method)
    return method


def list_payment_methods(w: Ledger, p: Obj) -> Obj:
    """GET /v1/payment_methods"""
    require(p, "customer")
    w.of("customer", p["customer"], "customer")
    return w.page("payment_method", p, "/v1/payment_methods", lambda o: (
        same(o, p, "customer", "type")
    ))  # fmt: skip


def list_customer_methods(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/customers/:id/payment_methods"""
    return list_payment_methods(w, {**p, "customer": id_}) | {"url": f"/v1/customers/{id_}/payment_methods"}


# -- setup intents ---------------------------------------------------------------------------------


def create_setup_intent(w: Ledger, p: Obj) -> Obj:
    """POST /v1/setup_intents"""
    id_ = w.new_id("seti_")
    intent: Obj = {
        "id": id_, "object": "setup_intent", "allowed_payment_method_types": None, "application": None,
        "automatic_payment_methods": None, "cancellation_reason": None,
        "client_secret": f"{id_}_secret_{w.new_id('')}", "created": w.now, "customer": p.get("customer"),
        "customer_account": None, "description": p.get("description"),
        "excluded_payment_method_types": None, "flow_directions": None, "last_setup_error": None,
        "latest_attempt": None, "livemode": False, "mandate": None, "metadata": metadata(p),
        "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"mandate_options": None, "network": None,
                                            "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"], "single_use_mandate": None,
        "status": "requires_payment_method", "usage": p.get("usage", "off_session"),
    }  # fmt: skip
    w.put(intent)
    w.emit("setup_intent.created", intent)
    if name := p.get("payment_method"):
        intent["payment_method"] = payments.method_named(w, name)["id"]
        intent["status"] = "requires_confirmation"
    return confirm_setup_intent(w, p, id_) if p.get("confirm") else intent


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
    intent |= {"status": "canceled", "cancellation_reason": p.get("cancellation_reason"), "next_action": None}
    w.emit("setup_intent.canceled", intent)
    return intent
