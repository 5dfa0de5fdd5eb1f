"""Customers, their discount, and legacy cards."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import DECLINES, of_token
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, no_such
from interlock.api.sandbox.core.forms import assign, merge_metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import listed
from interlock.api.sandbox.core.params import check, whole
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import balances, payments, standing
from interlock.api.sandbox.objects.discounts import Use, redeem

FIELDS = ("address", "description", "email", "name", "phone", "preferred_locales", "shipping",
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
    customer = w.new(
        "customer", "cus_", p, balance=0, invoice_prefix=w.new_id("")[:8].upper(),
        invoice_settings=dict.fromkeys(("custom_fields", "default_payment_method", "footer", "rendering_options")),
        next_invoice_sequence=1, preferred_locales=[], tax_exempt="none", test_clock=clock, delinquent=False,
    )  # fmt: skip
    _assign(customer, p)
    customer["balance"] = p.get("balance", 0)
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
    source = w.new(
        "card", "card_", brand=card.brand.title(), country=card.country, customer=customer["id"], exp_month=12,
        exp_year=2034, funding=card.funding, last4=card.number[-4:],
    )  # fmt: skip
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


def _change(w: Ledger, customer: Obj, p: Obj) -> None:
    if customer.get("deleted"):
        raise no_such("customer", customer["id"])
    _assign(customer, p)
    if "balance" in p:
        balances.adjust(w, customer, p["balance"])
    _methods(w, customer, p)
    _discount(w, customer, p)


def _end_all(w: Ledger, customer: Obj) -> None:
    """Cancel the subscriptions at once, and stop the invoices."""
    if customer.get("deleted"):
        raise no_such("customer", customer["id"])
    for sub in w.of_customer("subscription", customer["id"]):
        if sub["status"] not in ("canceled", "incomplete_expired"):
            standing.end(w, sub, reason="cancellation_requested")
    for invoice in w.of_customer("invoice", customer["id"]):
        if invoice["status"] in ("draft", "open"):
            w.touch(invoice)
            invoice |= {"auto_advance": False, "next_payment_attempt": None, "automatically_finalizes_at": None}


CUSTOMERS = Resource(
    "customer", "customers", create_customer, (), _change, filters=("email",),
    where=lambda _w, o, p: o["test_clock"] == p.get("test_clock"),  # those on a test clock only when it is named
    delete=_end_all, events="customer",
)  # fmt: skip
ROUTES = CUSTOMERS.routes(
    ("POST", "customers/*/sources", None, create_source),
    ("POST", "customers/*/sources/*", None, update_source),
)


def _subscriptions(w: Ledger, customer: Obj) -> Obj:
    data = [s for s in w.of_customer("subscription", customer["id"]) if s["status"] != "canceled"]
    return listed(data[::-1], f"/v1/customers/{customer['id']}/subscriptions")


def _sources(w: Ledger, customer: Obj) -> Obj:
    return listed(w.of_customer("card", customer["id"]), f"/v1/customers/{customer['id']}/sources")


INCLUDES = {("customer", "subscriptions"): _subscriptions, ("customer", "sources"): _sources}
