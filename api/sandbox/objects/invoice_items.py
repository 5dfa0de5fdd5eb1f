"""Invoice items as a resource."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import collection, invoice_document
from interlock.api.sandbox.objects.products import same_currency
from interlock.api.sandbox.objects.prorations import new_item


def create_invoiceitem(w: Ledger, p: Obj) -> Obj:
    """POST /v1/invoiceitems"""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    name = (p.get("pricing") or NOTHING).get("price") or p.get("price")
    price = w.of("price", name, "pricing[price]") if name else None
    quantity = p.get("quantity", 1)
    amount = p.get("amount")
    if amount is None:
        each = (price or p.get("price_data") or p).get("unit_amount") or p.get("unit_amount_decimal") or 0
        amount = round(float(each) * quantity)
    if price is not None:
        same_currency(price, p.get("currency"), "pricing[price]")
    currency = p.get("currency") or (price or p.get("price_data") or NOTHING).get("currency")
    if not currency:
        raise invalid("Missing required param: currency.", "currency", "parameter_missing")
    sub = w.of("subscription", p["subscription"], "subscription") if p.get("subscription") else None
    period = p.get("period") or {"start": w.now, "end": w.now}
    item = new_item(
        w, customer=customer["id"], amount=amount, currency=currency, description=p.get("description"),
        period=(period["start"], period["end"]), sub=sub, price=price, quantity=quantity,
        invoice=p.get("invoice"), given=p,
    )  # fmt: skip
    if p.get("invoice"):
        invoice = w.touch(w.of("invoice", p["invoice"], "invoice"))
        invoice_document.require(invoice, "draft", doing="edit")
        invoice_document.add_lines(w, invoice, [collection.item_line(w, item)])
        w.emit("invoice.updated", invoice)
    return item


def _change(_w: Ledger, item: Obj, _p: Obj) -> None:
    item["quantity_decimal"] = str(item["quantity"])


def _announce(w: Ledger, item: Obj) -> None:
    w.emit("invoiceitem.deleted", item)


def _wanted(_w: Ledger, o: Obj, p: Obj) -> bool:
    return "pending" not in p or (o["invoice"] is None) == p["pending"]


ITEMS = Resource(
    "invoiceitem", "invoiceitems", create_invoiceitem, ("amount", "description", "quantity", "discountable"), _change,
    filters=("customer", "invoice"), where=_wanted, delete=_announce, endpoint="invoice_item",
)  # fmt: skip
ROUTES = ITEMS.routes()
