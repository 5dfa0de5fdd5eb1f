"""Payment methods as a resource."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import BANK_ACCOUNTS, CARDS, of_token
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import cleared, metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
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
    """GET /v1/payment_methods/:id; the names of test cards are understood too."""
    return payments.method_named(w, id_, "id")


def _change(_w: Ledger, method: Obj, p: Obj) -> None:
    method["billing_details"] |= cleared(p.get("billing_details"))


def attach_payment_method(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/payment_methods/:id/attach"""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    return payments.attach(w, payments.method_named(w, id_, "id"), customer["id"])


def detach_payment_method(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/payment_methods/:id/detach; it stops being a default anywhere."""
    method = w.touch(w.get("payment_method", id_))
    if not method["customer"]:
        raise invalid("The payment method you provided is not attached to a customer so detachment is "
                      "impossible.")  # fmt: skip
    customer = w.get("customer", method["customer"])
    if customer["invoice_settings"]["default_payment_method"] == id_:
        w.touch(customer)["invoice_settings"]["default_payment_method"] = None
        w.emit("customer.updated", customer)
    for sub in w.of_customer("subscription", customer["id"]):
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
    return METHODS.list(w, p)


def list_customer_methods(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/customers/:id/payment_methods"""
    return list_payment_methods(w, {**p, "customer": id_}) | {"url": f"/v1/customers/{id_}/payment_methods"}


METHODS = Resource(
    "payment_method", "payment_methods", create_payment_method, ("allow_redisplay",), _change,
    filters=("customer", "type"), events="payment_method",
)  # fmt: skip
ROUTES = METHODS.routes(
    ("GET", "payment_methods", "payment_method_list", list_payment_methods),
    ("GET", "payment_methods/*", "payment_method_retrieve", get_payment_method),
    ("POST", "payment_methods/*/attach", "payment_method_attach", attach_payment_method),
    ("POST", "payment_methods/*/detach", "payment_method_detach", detach_payment_method),
    ("GET", "customers/*/payment_methods", "customer_payment_method_list", list_customer_methods),
)
