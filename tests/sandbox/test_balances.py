"""The customer's balance: small and negative totals, by the figures of recordings of the real API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.bench import DAY, HOUR, Bench
from tests.sandbox.test_prorations import change, left, subscribed

Obj = dict[str, Any]


def ledger(bench: Bench, sub: Obj) -> list[tuple[str, int, int]]:
    """The rows of the customer's balance, the oldest first."""
    rows = bench.get(f"customers/{sub['customer']}/balance_transactions")["data"]
    return [(row["type"], row["amount"], row["ending_balance"]) for row in reversed(rows)]


@pytest.mark.parametrize(
    ("old", "quantity", "new", "many", "owed"), [(1000, 1, 1800, 1, 1), (500, 2, 1000, 3, 4)]
)  # fmt: skip
def test_too_small_to_charge(bench: Bench, old: int, quantity: int, new: int, many: int, owed: int) -> None:
    """Recorded: below 50 cents an invoice is paid without an attempt, what was due is owed, and the next one has it."""
    sub = subscribed(bench, old, quantity=quantity)
    left(bench, 1 / 400)
    change(bench, sub, new, quantity=many, proration_behavior="always_invoice")
    invoice = bench.latest(sub)
    assert (invoice["status"], invoice["attempted"], invoice["attempt_count"]) == ("paid", True, 0)
    assert (invoice["total"], invoice["amount_due"], invoice["ending_balance"]) == (owed, 0, owed)
    assert ledger(bench, sub) == [("invoice_too_small", owed, owed)]
    bench.wait(2 * HOUR)
    renewal = bench.latest(sub)
    assert (renewal["starting_balance"], renewal["amount_paid"]) == (owed, new * many + owed)
    assert ledger(bench, sub)[1:] == [("applied_to_invoice", -owed, 0)]


def test_negative_total(bench: Bench) -> None:
    """Recorded: a total of -334 is paid at once and becomes credit; the next invoice uses it up."""
    sub = subscribed(bench, 2000)
    left(bench, 1 / 3)
    change(bench, sub, 1000, proration_behavior="always_invoice")
    invoice = bench.latest(sub)
    assert [invoice[name] for name in ("status", "total", "amount_due", "ending_balance")] == ["paid", -334, 0, -334]
    assert ledger(bench, sub) == [("applied_to_invoice", -334, -334)]
    assert bench.get(f"customers/{sub['customer']}")["balance"] == -334
    bench.wait(DAY // 3 + HOUR)
    renewal = bench.latest(sub)
    assert (renewal["starting_balance"], renewal["ending_balance"], renewal["amount_paid"]) == (-334, 0, 666)
    assert ledger(bench, sub)[1:] == [("applied_to_invoice", 334, 0)]


def test_credit_covers_more_than_an_invoice(bench: Bench) -> None:
    """Credit beyond the total stays, and nothing is charged."""
    customer = bench.customer()
    given = bench.post(f"customers/{customer['id']}/balance_transactions", {"amount": -5000, "currency": "usd"})
    assert (given["type"], given["ending_balance"]) == ("adjustment", -5000)
    assert bench.get(f"customers/{customer['id']}/balance_transactions/{given['id']}") == given
    invoice = bench.latest(bench.subscribe(customer))
    assert (invoice["status"], invoice["amount_due"], invoice["ending_balance"]) == ("paid", 0, -3000)
    other = bench.customer()
    assert bench.call("GET", f"customers/{other['id']}/balance_transactions/{given['id']}").status == 404


def test_void_gives_back(bench: Bench) -> None:
    """What an invoice drew from the balance goes back when it is void; a balance set by hand is an adjustment."""
    customer = bench.customer("pm_card_chargeCustomerFail")
    bench.post(f"customers/{customer['id']}", {"balance": -500})
    sub = bench.subscribe(customer)
    assert (bench.latest(sub)["amount_due"], bench.get(f"customers/{customer['id']}")["balance"]) == (1500, 0)
    bench.post(f"invoices/{sub['latest_invoice']}/void")
    kinds = ["adjustment", "applied_to_invoice", "unapplied_from_invoice"]
    assert [row[0] for row in ledger(bench, sub)] == kinds
    assert bench.get(f"customers/{customer['id']}")["balance"] == -500
