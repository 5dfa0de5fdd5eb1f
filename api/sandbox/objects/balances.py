"""The customer's balance: negative is credit, positive is owed; and its ledger.

By recordings of the real API: an invoice's total and the balance meet when it is finalized, by a row
`applied_to_invoice` in either direction; a due amount below the least that can be charged is not charged but moved
to the balance by a row `invoice_too_small`.
"""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.errors import Obj, no_such
from interlock.api.sandbox.core.forms import metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import in_range, same
from interlock.api.sandbox.core.resource import Route

LEAST = {"gbp": 30, "jpy": 50, "mxn": 1000, "hkd": 400, "sek": 300, "dkk": 250, "nok": 300, "chf": 50}
"""The least that Stripe charges, by currency, where it isn't 50 of the minor unit."""


def settled(total: int, balance: int, currency: str) -> tuple[int, int]:
    """What is due of a total, and what the balance is then."""
    due = max(0, total + balance) if total > 0 else 0
    after = min(0, total + balance) if total > 0 else balance + total
    return (0, after + due) if 0 < due < LEAST.get(currency, 50) else (due, after)


def apply(w: Ledger, invoice: Obj) -> None:
    """Let an invoice that is being finalized meet its customer's balance."""
    customer = w.get("customer", invoice["customer"])
    start, total, currency = int(customer["balance"] or 0), int(invoice["total"]), str(invoice["currency"])
    due, end = settled(total, start, currency)
    drawn = min(0, start + total) - start if total > 0 else total
    invoice |= {"starting_balance": start, "ending_balance": end, "amount_due": due, "amount_remaining": due}
    if drawn:
        _move(w, customer, drawn, currency, "applied_to_invoice", invoice["id"])
        w.note(invoice["id"])["drawn"] = drawn
    if small := end - start - drawn:
        _move(w, customer, small, currency, "invoice_too_small", invoice["id"])


def give_back(w: Ledger, invoice: Obj) -> None:
    """A void invoice's part of the balance goes back."""
    if drawn := w.note(invoice["id"]).pop("drawn", 0):
        customer = w.get("customer", invoice["customer"])
        _move(w, customer, -drawn, invoice["currency"], "unapplied_from_invoice", invoice["id"])


def _move(w: Ledger, customer: Obj, amount: int, currency: str, kind: str, invoice: str | None, **more: Any) -> Obj:
    w.touch(customer)
    customer["balance"] += amount
    customer["currency"] = customer["currency"] or currency
    row = w.new(
        "customer_balance_transaction", "cbtxn_", amount=amount, currency=currency, customer=customer["id"],
        ending_balance=customer["balance"], invoice=invoice, type=kind,
    )  # fmt: skip
    row |= more
    w.put(row)
    w.emit("customer.updated", customer)
    return row


def adjust(w: Ledger, customer: Obj, balance: int) -> None:
    """A balance that is set by hand is an adjustment."""
    if moved := balance - int(customer["balance"] or 0):
        _move(w, customer, moved, customer["currency"] or "usd", "adjustment", None)


# -- the ledger as a resource ----------------------------------------------------------------------


def create_transaction(w: Ledger, p: Obj, customer: str) -> Obj:
    """POST /v1/customers/:id/balance_transactions"""
    require(p, "currency")
    owner = w.get("customer", customer)
    return _move(w, owner, int(p.get("amount", 0)), p["currency"].lower(), "adjustment", None,
                 metadata=metadata(p), description=p.get("description") or None)  # fmt: skip


def list_transactions(w: Ledger, p: Obj, customer: str) -> Obj:
    """GET /v1/customers/:id/balance_transactions"""
    w.get("customer", customer)
    return w.page("customer_balance_transaction", p, f"/v1/customers/{customer}/balance_transactions", lambda o: (
        o["customer"] == customer and same(o, p, "invoice") and in_range(o["created"], p.get("created"))
    ))  # fmt: skip


def get_transaction(w: Ledger, _p: Obj, customer: str, id_: str) -> Obj:
    """GET /v1/customers/:id/balance_transactions/:id"""
    row = w.get("customer_balance_transaction", id_)
    if row["customer"] != customer:
        raise no_such("customer_balance_transaction", id_)
    return row


ROUTES = (
    Route("POST", "customers/*/balance_transactions", "customer_balance_transaction_create", create_transaction),
    Route("GET", "customers/*/balance_transactions", "customer_balance_transaction_list", list_transactions),
    Route("GET", "customers/*/balance_transactions/*", "customer_balance_transaction_retrieve", get_transaction),
)
