"""Invoices as documents: lines, totals, draft → open → paid / void / uncollectible. No subscription logic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, StripeError, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR
from interlock.api.sandbox.objects import amounts, balances, meter_usage
from interlock.api.sandbox.objects.payments import cancel_intent
from interlock.api.sandbox.objects.products import pricing_of, product_name

DRAFT_FOR = HOUR


def new_line(
    w: Ledger, *, price: Obj, quantity: int | None, period: tuple[int, int], amount: int | None = None,
    sub: Obj | None = None, item: Obj | None = None, invoiceitem: Obj | None = None,
    proration: bool = False, description: str | None = None, trial: bool = False,
) -> Obj:  # fmt: skip
    """One line: of a subscription item, or of an invoice item."""
    if amount is None:
        amount = 0 if trial else amounts.amount_of(w, price, 1 if quantity is None else quantity)
    text = f"{'Trial period for' if trial else f'{quantity} ×'} {product_name(w, price)}"
    return w.new(
        "line_item", "il_", amount=amount, currency=price["currency"], description=description or text,
        discount_amounts=[], discountable=not proration, discounts=[],
        metadata=dict(sub["metadata"]) if sub else {}, parent=_line_parent(sub, item, invoiceitem, proration),
        period={"start": period[0], "end": period[1]}, pretax_credit_amounts=[], pricing=pricing_of(price),
        quantity=quantity, quantity_decimal=None if quantity is None else str(quantity),
        subscription=sub["id"] if sub else None, subtotal=amount, taxes=[],
    )  # fmt: skip


def _line_parent(sub: Obj | None, item: Obj | None, invoiceitem: Obj | None, proration: bool) -> Obj:
    """What a line came of: an item of a subscription, or an invoice item."""
    details: Obj = {
        "invoice_item": invoiceitem["id"] if invoiceitem else None, "proration": proration,
        "proration_details": None, "subscription": sub["id"] if sub else None,
    }  # fmt: skip
    kind = "invoice_item_details" if invoiceitem is not None and item is None else "subscription_item_details"
    if kind == "subscription_item_details":
        details["subscription_item"] = item["id"] if item else ""
        details["proration_details"] = {"credited_items": _credited(invoiceitem)} if proration else None
    return {"subscription_item_details": None, "invoice_item_details": None} | {"type": kind, kind: details}


def _credited(invoiceitem: Obj | None) -> Obj | None:
    """What a credit takes back, as a line says it: flat, and only of lines."""
    details = (invoiceitem or NOTHING).get("proration_details") or NOTHING
    return (details.get("credited_items") or NOTHING).get("invoice_line_item_details")


_NO_AMOUNTS = dict.fromkeys(
    ("amount_due", "amount_overpaid", "amount_paid", "amount_paid_off_stripe", "amount_remaining", "amount_shipping",
     "attempt_count", "post_payment_credit_notes_amount", "pre_payment_credit_notes_amount", "starting_balance",
     "subtotal", "total"), 0
)  # fmt: skip
_EMPTY_LISTS = ("customer_tax_ids", "default_tax_rates", "total_discount_amounts", "total_pretax_credit_amounts",
                "total_taxes")  # fmt: skip
_OF_THE_CUSTOMER = ("address", "email", "name", "phone", "shipping")


def new_invoice(
    w: Ledger, customer: Obj, *, reason: str, lines: list[Obj], currency: str, sub: Obj | None = None,
    period: tuple[int, int] | None = None, auto_advance: bool = True, discounts: list[str] | None = None,
    **more: Any,
) -> Obj:  # fmt: skip
    """A draft, and `invoice.created`."""
    start, end = period or (w.now, w.now)
    collection = str((sub or NOTHING).get("collection_method") or "charge_automatically")
    waits = auto_advance and reason in ("subscription_cycle", "manual")
    invoice = w.new(
        "invoice", "in_", account_country="US", account_name="Interlock sandbox", attempted=False,
        auto_advance=auto_advance, automatically_finalizes_at=w.now + DRAFT_FOR if waits else None,
        automatic_tax={"provider": None, "status": None, "enabled": False, "disabled_reason": None, "liability": None}
        | ((sub or NOTHING).get("automatic_tax") or NOTHING),
        billing_reason=reason, collection_method=collection, currency=currency, customer=customer["id"],
        customer_tax_exempt="none", discounts=discounts or [], issuer={"type": "self"},
        next_payment_attempt=w.now + DRAFT_FOR if waits and collection == "charge_automatically" else None,
        parent=subscription_parent(sub) if sub else None, period_end=end, period_start=start,
        payment_settings=dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types")),
        status="draft", test_clock=customer.get("test_clock"), webhooks_delivered_at=w.now,
        status_transitions=dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
    )  # fmt: skip
    invoice |= _NO_AMOUNTS | {name: [] for name in _EMPTY_LISTS}
    invoice |= {f"customer_{name}": customer.get(name) for name in _OF_THE_CUSTOMER}
    invoice["lines"] = {"object": "list", "data": [], "has_more": False, "url": f"/v1/invoices/{invoice['id']}/lines"}
    invoice |= more
    add_lines(w, invoice, lines)
    w.put(invoice)
    w.emit("invoice.created", invoice)
    return invoice


def subscription_parent(sub: Obj) -> Obj:
    """What ties an invoice to its subscription, with a copy of its metadata."""
    return {
        "type": "subscription_details",
        "quote_details": None,
        "subscription_details": {"metadata": dict(sub["metadata"]), "subscription": sub["id"]},
    }


def add_lines(w: Ledger, invoice: Obj, lines: list[Obj]) -> None:
    """Append lines and sum up again."""
    for line in lines:
        line["invoice"] = invoice["id"]
    invoice["lines"]["data"] += lines
    total_up(w, invoice)


def total_up(w: Ledger, invoice: Obj) -> None:
    """Subtotal, discounts, total, what is due."""
    lines = invoice["lines"]["data"]
    subtotal = sum(int(line["amount"]) for line in lines)
    open_ = {n: int(line["amount"]) for n, line in enumerate(lines) if line["discountable"]}
    off_by: list[Obj] = []
    for line in lines:
        line["discount_amounts"] = []
    for id_ in invoice["discounts"]:
        discount = w.find("discount", id_) or NOTHING
        coupon = w.find("coupon", discount["source"]["coupon"]) or NOTHING
        left = sum(open_.values())
        percent = coupon.get("percent_off")
        off = _percent(left, percent) if percent else min(int(coupon.get("amount_off") or 0), left)
        off_by.append({"amount": max(off, 0), "discount": id_})
        _spread(lines, open_, max(off, 0), id_)
    total = subtotal - sum(int(each["amount"]) for each in off_by)
    invoice |= {
        "subtotal": subtotal, "subtotal_excluding_tax": subtotal, "total": total,
        "total_excluding_tax": total, "total_discount_amounts": off_by, "amount_due": max(total, 0),
        "amount_remaining": max(total, 0) - invoice["amount_paid"],
    }  # fmt: skip


def _percent(amount: int, percent: float) -> int:
    """A percentage, rounded half up."""
    return int((Fraction(str(percent)) * amount / 100 + Fraction(1, 2)).__floor__())


def _spread(lines: list[Obj], open_: dict[int, int], off: int, id_: str) -> None:
    """Share a discount among the lines in proportion, the rest of rounding on the last."""
    whole = sum(open_.values())
    left = off
    for n in list(open_):
        share = left if n == max(open_) else (off * open_[n] // whole if whole else 0)
        lines[n]["discount_amounts"].append({"amount": share, "discount": id_})
        open_[n] -= share
        left -= share


def require(invoice: Obj, *statuses: str, doing: str) -> None:
    """Refuse what the invoice's status does not allow."""
    if invoice["status"] == "paid" and doing == "pay":
        raise StripeError(400, "Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "void" and doing == "pay":
        raise invalid("You can only pass in open invoices. This invoice isn't open.")
    if invoice["status"] not in statuses:
        raise invalid(
            f"You can only {doing} an invoice that is {' or '.join(statuses)}. "
            f"This invoice has status {invoice['status']}.",
            code="invoice_not_editable" if doing == "edit" else None,
        )


def usage_line(w: Ledger, price: Obj, sub: Obj, item: Obj, window: tuple[int, int]) -> Obj:
    """The line of what a metered item used in a window of time; it is counted again when the invoice is finalized."""
    line = new_line(w, price=price, quantity=0, sub=sub, item=item, period=window)
    meter_usage.remember(w, line, price, sub["customer"], window)
    _count(w, line)
    return line


def _count(w: Ledger, line: Obj) -> bool:
    """Take a metered line to what the meter has counted by now; did that change it?"""
    note = w.notes.get(line["id"], NOTHING).get("usage")
    if note is None:
        return False
    price = w.get("price", note["price"])
    used = meter_usage.billable(w, price, note["customer"], (note["window"][0], note["window"][1]))
    before, amount = line["amount"], amounts.amount_of(w, price, used)
    line |= {
        "quantity": int(used), "quantity_decimal": meter_usage.decimal(used), "amount": amount, "subtotal": amount,
        "description": f"{meter_usage.decimal(used)} × {product_name(w, price)}",
    }  # fmt: skip
    return bool(before != amount)


def finalize(w: Ledger, invoice: Obj) -> Obj:
    """Draft → open, with a number and a page to pay on."""
    w.touch(invoice)
    customer = w.touch(w.get("customer", invoice["customer"]))
    sequence = int(customer.get("next_invoice_sequence") or 1)
    customer["next_invoice_sequence"] = sequence + 1
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{sequence:04d}",
        "effective_at": w.now,
        "hosted_invoice_url": f"{w.public_url}/i/{invoice['id']}",
        "invoice_pdf": f"{w.public_url}/i/{invoice['id']}/pdf",
        "automatically_finalizes_at": None,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["finalized_at"] = w.now
    if sum(_count(w, line) for line in invoice["lines"]["data"]):
        total_up(w, invoice)
    balances.apply(w, invoice)
    if invoice["collection_method"] == "send_invoice":
        days = w.notes.get(invoice["id"], NOTHING).get("days_until_due")
        if invoice["due_date"] is None:
            invoice["due_date"] = w.now + int(30 if days is None else days) * DAY
    w.emit("invoice.finalized", invoice)
    return invoice


def close_paid(w: Ledger, invoice: Obj, *, off_stripe: bool = False) -> None:
    """Open → paid; the events are the caller's, since the subscription's comes between."""
    w.touch(invoice)
    due = int(invoice["amount_due"])
    invoice |= {
        "status": "paid", "amount_paid": due, "amount_remaining": 0, "next_payment_attempt": None,
        "attempted": True, "auto_advance": False, "status_details": None,
        "amount_paid_off_stripe": due if off_stripe else 0,
    }  # fmt: skip
    invoice["status_transitions"]["paid_at"] = w.now
    for payment in payments_of(w, invoice):
        if payment["status"] == "open" and not off_stripe:
            w.touch(payment)
            payment |= {"status": "paid", "amount_paid": due}
            payment["status_transitions"]["paid_at"] = w.now
            w.emit("invoice_payment.paid", payment)


def close_unpaid(w: Ledger, invoice: Obj, status: str, reason: str | None = None) -> None:
    """Open (or draft) → void or uncollectible."""
    w.touch(invoice)
    invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None,
                "automatically_finalizes_at": None}  # fmt: skip
    if status == "void":
        invoice["status_transitions"]["voided_at"] = w.now
        invoice["amount_remaining"] = 0
        balances.give_back(w, invoice)
        _cancel_payments(w, invoice)
    else:
        invoice["status_transitions"]["marked_uncollectible_at"] = w.now
        invoice["status_details"] = {"uncollectible": {"reason": reason}}


def _cancel_payments(w: Ledger, invoice: Obj) -> None:
    for payment in payments_of(w, invoice):
        if payment["status"] == "open":
            w.touch(payment)["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = w.now
            intent = w.find("payment_intent", payment["payment"]["payment_intent"])
            if intent:
                cancel_intent(w, intent, "void_invoice")


def payments_of(w: Ledger, invoice: Obj) -> list[Obj]:
    """The invoice's payments, oldest first."""
    ids = w.notes.get(invoice["id"], NOTHING).get("payments", EMPTY)
    return [w.tables["invoice_payment"][id_] for id_ in ids]


def add_payment(w: Ledger, invoice: Obj, intent: Obj) -> Obj:
    """Tie a payment intent to the invoice."""
    payment = w.new(
        "invoice_payment", "inpay_", amount_requested=invoice["amount_remaining"], currency=invoice["currency"],
        invoice=invoice["id"], is_default=True, status="open",
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status_transitions={"canceled_at": None, "paid_at": None},
    )  # fmt: skip
    w.note(invoice["id"]).setdefault("payments", []).append(payment["id"])
    return w.put(payment)


def intent_of(w: Ledger, invoice: Obj) -> Obj | None:
    """The payment intent that pays this invoice, if one was made."""
    for payment in reversed(payments_of(w, invoice)):
        return w.find("payment_intent", payment["payment"]["payment_intent"])
    return None
