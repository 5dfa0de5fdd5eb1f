"""Invoice items as a resource."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import drafts, invoice_document
from interlock.api.sandbox.objects.products import pricing_of, same_currency


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
        invoice_document.add_lines(w, invoice, [drafts.item_line(w, item)])
        w.emit("invoice.updated", invoice)
    return item


def new_item(
    w: Ledger, *, customer: str, amount: int, currency: str, description: str | None,
    period: tuple[int, int], sub: Obj | None = None, price: Obj | None = None, quantity: int = 1,
    proration: bool = False, invoice: str | None = None, given: Obj | None = None, item: str | None = None,
    credited: Obj | None = None, plain: bool = False,
) -> Obj:  # fmt: skip
    """An invoice item, waiting for an invoice unless one is named.

    `item` is the subscription item that a proration is of, `credited` what it takes back.
    """
    made = w.new(
        "invoiceitem", "ii_", given or NOTHING, amount=amount, currency=currency, customer=customer, date=w.now,
        description=description, discountable=not proration, discounts=[], invoice=invoice, net_amount=amount,
        parent={
            "type": "subscription_details",
            "subscription_details": {"subscription": sub["id"], "subscription_item": item},
        } if sub and not plain else None,
        period={"start": period[0], "end": period[1]}, pricing=pricing_of(price) if price else None,
        proration=proration, quantity=quantity, quantity_decimal=str(quantity), tax_rates=[],
        proration_details={"credited_items": _credited(credited), "discount_amounts": []}
        if proration and not plain else None,
        test_clock=(sub or w.get("customer", customer)).get("test_clock"),
    )  # fmt: skip
    known = {"price": price and price["id"], "subscription": sub and sub["id"], "item": item}
    w.note(made["id"]).update({name: value for name, value in known.items() if value})
    w.put(made)
    w.emit("invoiceitem.created", made)
    return made


def _credited(credited: Obj | None) -> Obj | None:
    return credited and {"invoice_item": None, "invoice_line_item_details": None} | credited


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
