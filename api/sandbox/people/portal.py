"""The portal page: what it shows, and what its buttons do."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import OK, offered
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, no_such
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import collection, invoice_document
from interlock.api.sandbox.objects.invoices import pay_invoice
from interlock.api.sandbox.objects.portal import refuses
from interlock.api.sandbox.objects.subscription_changes import (
    cancel_subscription,
    pause_subscription,
    resume_subscription,
    update_subscription,
)
from interlock.api.sandbox.objects.subscriptions import ENDED
from interlock.api.sandbox.people import hosted_invoice
from interlock.api.sandbox.people.cards import attach, card_given

QUANTITY_MAX = 10_000  # as the page's own field


def view(w: Ledger, id_: str) -> Obj:
    """All that the page shows."""
    session = w.get("billing_portal.session", id_)
    customer = w.get("customer", session["customer"])
    mine = customer["id"]
    return {
        "session": session, "customer": customer, "return_url": session["return_url"],
        "flow": session["flow"],
        "subscriptions": [_with_product(w, o) for o in reversed(w.of_customer("subscription", mine))],
        "payment_methods": [o for o in w.all("payment_method") if o["customer"] == mine],
        "invoices": [o for o in reversed(w.of_customer("invoice", mine)) if o["status"] != "draft"],
        "prices": [o | {"product_name": (w.find("product", o["product"]) or NOTHING).get("name")}
                   for o in w.all("price") if o["active"] and o["type"] == "recurring"],
        "cards": offered(), "now": w.now,
    }  # fmt: skip


def _with_product(w: Ledger, sub: Obj) -> Obj:
    items = sub["items"]["data"]
    product = w.find("product", items[0]["price"]["product"]) if items else None
    return sub | {"product_name": (product or NOTHING).get("name")}


def _own(w: Ledger, id_: str, kind: str, name: str) -> Obj:
    """An object that belongs to this session's customer; any other is a 404."""
    session = w.get("billing_portal.session", id_)
    found = w.find(kind, name)
    if found is None or found.get("customer") != session["customer"]:
        raise no_such(kind, name)
    return w.get(kind, name)


def _living(w: Ledger, id_: str, name: str) -> Obj:
    sub = _own(w, id_, "subscription", name)
    if sub["status"] in ENDED:
        raise no_such("subscription", name)
    return sub


def add_card(w: Ledger, id_: str, card: str) -> Obj:
    """A new default card; what is overdue is paid with it."""
    customer = w.get("customer", w.get("billing_portal.session", id_)["customer"])
    method = attach(w, card_given(card), customer["id"], customer.get("email"))
    w.note(method["id"])["set_up"] = True
    w.touch(customer)["invoice_settings"]["default_payment_method"] = method["id"]
    w.emit("customer.updated", customer)
    subscriptions = w.of_customer("subscription", customer["id"])
    for sub in subscriptions:
        if sub["status"] not in ENDED and sub["default_payment_method"]:
            w.touch(sub)["default_payment_method"] = method["id"]
            w.emit("customer.subscription.updated", sub)
    owing = [sub for sub in subscriptions if sub["status"] in ("past_due", "unpaid", "incomplete")]
    paid = [_pay_latest(w, sub, str(method["id"])) for sub in owing]
    return {"payment_method": method, "paid": paid}


def _pay_latest(w: Ledger, sub: Obj, method: str) -> Obj:
    invoice = collection.deciding_invoice(w, sub)
    if invoice is not None and invoice["status"] == "draft":
        invoice_document.finalize(w, invoice)
    if invoice is None or invoice["status"] != "open":
        return {"subscription": sub["id"], "outcome": "nothing_due"}
    outcome = collection.collect(w, invoice, on_session=True, method=method, manual=True)
    return {"subscription": sub["id"], "invoice": invoice["id"], "outcome": "paid" if outcome == OK else outcome}


def cancel(w: Ledger, id_: str, subscription: str, at_period_end: bool = True) -> Obj:
    """Cancel now or at the period's end."""
    sub = _living(w, id_, subscription)
    if at_period_end:
        return update_subscription(w, {"cancel_at_period_end": True}, sub["id"])
    return cancel_subscription(w, {}, sub["id"])


def renew(w: Ledger, id_: str, subscription: str) -> Obj:
    """Take a planned cancellation back."""
    sub = _living(w, id_, subscription)
    return update_subscription(w, {"cancel_at_period_end": False}, sub["id"])


def update(w: Ledger, id_: str, subscription: str, price: str | None, quantity: int | None) -> Obj:
    """Another price or quantity."""
    sub = _living(w, id_, subscription)
    configuration = w.get("billing_portal.configuration", w.get("billing_portal.session", id_)["configuration"])
    if refusal := refuses(sub, "subscription_update", configuration):
        raise invalid(refusal, "subscription")
    item: Obj = sub["items"]["data"][0]
    change: Obj = {"id": item["id"]} | ({"quantity": item["quantity"]} if "quantity" in item else {})
    if price:
        change["price"] = price
    if quantity is not None:
        if not 1 <= quantity <= QUANTITY_MAX:
            raise invalid(f"This value must be from 1 to {QUANTITY_MAX}.", "quantity")
        change["quantity"] = quantity
    return update_subscription(w, {"items": [change]}, sub["id"])


def pause(w: Ledger, id_: str, subscription: str) -> Obj:
    """Pause the subscription."""
    return pause_subscription(w, {}, _living(w, id_, subscription)["id"])


def resume(w: Ledger, id_: str, subscription: str) -> Obj:
    """Resume it."""
    return resume_subscription(w, {}, _living(w, id_, subscription)["id"])


def pay(w: Ledger, id_: str, invoice: str) -> Obj:
    """Pay an open invoice with the default card."""
    return pay_invoice(w, {"off_session": False}, _own(w, id_, "invoice", invoice)["id"])


def authenticate(w: Ledger, id_: str, invoice: str, succeed: bool) -> Obj:
    """Answer the 3-D Secure of one's own invoice."""
    return hosted_invoice.authenticate_hosted(w, _own(w, id_, "invoice", invoice)["id"], succeed)
