"""Payment methods as a resource."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import BANK_ACCOUNTS, CARDS, of_token
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import assign, cleared, merge_metadata, metadata, require
from interlock.api.sandbox.core.ledger import Ledger, same
from interlock.api.sandbox.objects import payments


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
