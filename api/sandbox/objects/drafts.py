"""The next invoice of a subscription, as a draft: its lines, what waits for it, its discounts."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import invoice_document


def draft_invoice(
    w: Ledger, sub: Obj, *, reason: str, lines: list[Obj], period: tuple[int, int] | None = None,
    auto_advance: bool = True,
) -> Obj:  # fmt: skip
    """A new draft invoice for a subscription; takes up its pending invoice items."""
    customer = w.get("customer", sub["customer"])
    waits = sub["collection_method"] == "send_invoice" and reason in ("subscription_create", "subscription_update")
    items = pending_items(w, sub)
    lines[:0] = [item_line(w, item, sub) for item in items]
    invoice = invoice_document.new_invoice(
        w, customer, reason=reason, lines=lines, currency=sub["currency"], sub=sub, period=period,
        auto_advance=auto_advance, discounts=discounts_now(w, sub),
        **({"automatically_finalizes_at": w.now + invoice_document.DRAFT_FOR} if waits else {}),
    )  # fmt: skip
    for item in items:
        w.touch(item)["invoice"] = invoice["id"]
    note = w.note(sub["id"])
    note.setdefault("invoices", []).append(invoice["id"])
    if sub["days_until_due"] is not None:
        w.note(invoice["id"])["days_until_due"] = sub["days_until_due"]
    w.touch(sub)["latest_invoice"] = invoice["id"]
    return invoice


def pending_items(w: Ledger, sub: Obj) -> list[Obj]:
    """The customer's invoice items that the subscription's next invoice takes up, the newest first."""
    return [each for each in reversed(w.of_customer("invoiceitem", sub["customer"]))
            if not each["invoice"] and each["currency"] == sub["currency"]
            and w.notes.get(each["id"], NOTHING).get("subscription") in (None, sub["id"])]  # fmt: skip


def item_line(w: Ledger, item: Obj, sub: Obj | None = None) -> Obj:
    """The line of a pending invoice item."""
    note = w.notes.get(item["id"], {})
    price = w.find("price", note.get("price", "")) or _inline_price(item)
    return invoice_document.new_line(
        w, price=price, quantity=item["quantity"], period=(item["period"]["start"], item["period"]["end"]),
        amount=item["amount"], sub=sub, invoiceitem=item, proration=item["proration"],
        description=item["description"], item={"id": note["item"]} if "item" in note else None,
    )  # fmt: skip


def _inline_price(item: Obj) -> Obj:
    return {
        "id": "price_inline", "product": "prod_inline", "unit_amount": item["amount"],
        "unit_amount_decimal": str(item["amount"]), "currency": item["currency"],
    }  # fmt: skip


def discounts_now(w: Ledger, sub: Obj) -> list[str]:
    """The subscription's own discounts, else its customer's, as far as they have not ended."""
    own: list[str] = sub["discounts"]
    theirs = (w.get("customer", sub["customer"]).get("discount") or NOTHING).get("id")
    ids = own or ([theirs] if theirs else [])
    ends: Obj = {id_: (w.find("discount", id_) or NOTHING).get("end") for id_ in ids}
    return [id_ for id_ in ids if ends[id_] is None or ends[id_] > w.now]
