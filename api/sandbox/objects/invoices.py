"""Invoices and their payments as resources."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, PROCESSING
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid
from interlock.api.sandbox.core.forms import metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import in_range, listed, paged
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import collection, drafts, invoice_document, payments
from interlock.api.sandbox.objects.discounts import Use, redeem


def create_invoice(w: Ledger, p: Obj) -> Obj:
    """POST /v1/invoices: a draft of one's own, or of what waits for a subscription."""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    sub = w.of("subscription", p["subscription"], "subscription") if p.get("subscription") else None
    method = p.get("collection_method", "charge_automatically")
    if method == "send_invoice" and "days_until_due" not in p and "due_date" not in p:
        raise invalid("If invoice collection method is set to 'send_invoice', you must specify "
                      "'days_until_due' or 'due_date'.", "due_date")  # fmt: skip
    include = p.get("pending_invoice_items_behavior", "exclude") == "include" or sub is not None
    items = [i for i in w.of_customer("invoiceitem", customer["id"]) if include
             and not i["invoice"]]  # fmt: skip
    lines = [drafts.item_line(w, item, sub) for item in items]
    auto = bool(p.get("auto_advance", False))
    more: Obj = {
        "collection_method": method, "metadata": metadata(p), "description": p.get("description"),
        "footer": p.get("footer"), "due_date": p.get("due_date"), "automatically_finalizes_at": None,
        "next_payment_attempt": None,
    }  # fmt: skip
    if auto:
        more["automatically_finalizes_at"] = w.now + invoice_document.DRAFT_FOR
    if p.get("days_until_due") is not None:
        more["due_date"] = w.now + p["days_until_due"] * DAY
    if name := p.get("default_payment_method"):
        more["default_payment_method"] = w.of("payment_method", name, "default_payment_method")["id"]
    currency = p.get("currency") or (items[0]["currency"] if items else customer.get("currency") or "usd")
    use = Use(customer["id"], sum(int(line["amount"]) for line in lines), currency)
    invoice = invoice_document.new_invoice(
        w, customer, reason="manual", lines=lines, currency=currency, sub=sub, auto_advance=auto,
        discounts=redeem(w, p.get("discounts"), use, customer=customer["id"]), **more,
    )  # fmt: skip
    for item in items:
        w.touch(item)["invoice"] = invoice["id"]
    if sub is not None:
        w.note(sub["id"]).setdefault("invoices", []).append(invoice["id"])
    return invoice


def list_lines(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/invoices/:id/lines"""
    return paged(list(w.get("invoice", id_)["lines"]["data"]), p, f"/v1/invoices/{id_}/lines")


def _change(w: Ledger, invoice: Obj, p: Obj) -> None:
    if set(p) - {"metadata", "auto_advance", "default_payment_method", "expand"}:
        invoice_document.require(invoice, "draft", doing="edit")
    if "discounts" in p:
        use = Use(invoice["customer"], invoice["subtotal"], invoice["currency"])
        invoice["discounts"] = redeem(w, p["discounts"], use, customer=invoice["customer"])
        invoice_document.total_up(w, invoice)
    if p.get("auto_advance") and invoice["status"] == "draft":
        invoice["automatically_finalizes_at"] = max(w.now, invoice["created"] + invoice_document.DRAFT_FOR)
    if p.get("auto_advance") and invoice["status"] == "open" and not invoice["next_payment_attempt"]:
        invoice["next_payment_attempt"] = w.now + invoice_document.DRAFT_FOR


def _may_delete(_w: Ledger, invoice: Obj) -> None:
    invoice_document.require(invoice, "draft", doing="delete")


def _wanted(_w: Ledger, o: Obj, p: Obj) -> bool:
    details = (o["parent"] or NOTHING).get("subscription_details") or NOTHING
    mine = "subscription" not in p or details.get("subscription") == p["subscription"]
    shown = o["test_clock"] is None or "customer" in p or "subscription" in p
    return mine and shown and in_range(o["due_date"] or 0, p.get("due_date"))


def finalize_invoice(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/invoices/:id/finalize; payment follows in about an hour when it advances by itself."""
    invoice = w.get("invoice", id_)
    invoice_document.require(invoice, "draft", doing="finalize")
    if "auto_advance" in p:
        w.touch(invoice)["auto_advance"] = p["auto_advance"]
    invoice_document.finalize(w, invoice)
    if not invoice["amount_due"]:
        collection.mark_paid(w, invoice)
    elif invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        w.touch(invoice)["next_payment_attempt"] = w.now + invoice_document.DRAFT_FOR
        w.emit("invoice.updated", invoice)
    else:
        collection.prepare(w, invoice)
    return invoice


def pay_invoice(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/invoices/:id/pay"""
    invoice = w.get("invoice", id_)
    if invoice["status"] == "draft":
        invoice_document.finalize(w, invoice)
    invoice_document.require(invoice, "open", "uncollectible", doing="pay")
    if p.get("paid_out_of_band"):
        collection.mark_paid(w, invoice, off_stripe=True)
        return invoice
    method = _method_to_pay(w, invoice, p)
    if method is None and invoice["amount_remaining"]:
        raise StripeError(
            400, "There is no `default_payment_method` set on this Customer or Invoice. Please add a payment "
            "method.", code="missing")  # fmt: skip
    outcome = collection.collect(w, invoice, method=method, manual=True, on_session=p.get("off_session") is False)
    if outcome == AUTHENTICATE:
        raise StripeError(402, "Payment for this invoice requires additional user action before it can be "
                          "completed successfully.", code="invoice_payment_intent_requires_action",
            type="card_error", keep=True,
                          payment_intent=_intent_copy(w, invoice))  # fmt: skip
    if outcome not in (OK, PROCESSING):
        raise payments.refusal(outcome, payment_intent=_intent_copy(w, invoice))
    return invoice


def _method_to_pay(w: Ledger, invoice: Obj, p: Obj) -> str | None:
    if name := p.get("payment_method"):
        method = payments.method_named(w, name)
        if method["customer"] is None and name.startswith(("pm_card_", "pm_usBankAccount")):
            payments.attach(w, method, invoice["customer"], checked=False)
        return str(method["id"])
    return p.get("source") or collection.method_for(w, invoice)


def _intent_copy(w: Ledger, invoice: Obj) -> Obj | None:
    intent = invoice_document.intent_of(w, invoice)
    return dict(intent) if intent else None


def void_invoice(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/invoices/:id/void"""
    invoice = w.get("invoice", id_)
    invoice_document.require(invoice, "open", "uncollectible", doing="void")
    collection.annul(w, invoice)
    return invoice


def mark_uncollectible(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/invoices/:id/mark_uncollectible"""
    invoice = w.get("invoice", id_)
    invoice_document.require(invoice, "open", doing="mark as uncollectible")
    collection.forgive(w, invoice)
    return invoice


def send_invoice(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/invoices/:id/send"""
    invoice = w.get("invoice", id_)
    if invoice["collection_method"] != "send_invoice":
        raise invalid("You can only manually send an invoice if its collection method is 'send_invoice'.")
    if invoice["status"] == "draft":
        invoice_document.finalize(w, invoice)
    w.emit("invoice.sent", invoice)
    return invoice


INVOICES = Resource(
    "invoice", "invoices", create_invoice,
    ("description", "footer", "auto_advance", "due_date", "collection_method", "default_payment_method",
     "statement_descriptor"),
    _change, filters=("customer", "status", "collection_method"), where=_wanted, delete=_may_delete, events="invoice",
)  # fmt: skip
PAYMENTS = Resource("invoice_payment", "invoice_payments", filters=("invoice", "status"))
ROUTES = PAYMENTS.routes() + INVOICES.routes(
    ("GET", "invoices/*/lines", "invoice_line_item_list", list_lines),
    ("POST", "invoices/*/finalize", "invoice_finalize_invoice", finalize_invoice),
    ("POST", "invoices/*/pay", "invoice_pay", pay_invoice),
    ("POST", "invoices/*/send", "invoice_send_invoice", send_invoice),
    ("POST", "invoices/*/void", "invoice_void_invoice", void_invoice),
    ("POST", "invoices/*/mark_uncollectible", "invoice_mark_uncollectible", mark_uncollectible),
)


def _payments(w: Ledger, invoice: Obj) -> Obj:
    payments = invoice_document.payments_of(w, invoice)
    return listed(payments, f"/v1/invoice_payments?invoice={invoice['id']}")


def _secret(w: Ledger, invoice: Obj) -> Obj | None:
    for payment in invoice_document.payments_of(w, invoice):
        intent = w.find("payment_intent", payment["payment"]["payment_intent"])
        if intent is not None:
            return {"client_secret": intent["client_secret"], "type": "payment_intent"}
    return None


INCLUDES = {("invoice", "payments"): _payments, ("invoice", "confirmation_secret"): _secret}
