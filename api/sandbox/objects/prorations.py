"""What time is owed when a subscription changes: a credit for the rest, a charge for the rest.

Each amount is rounded by itself, then summed, as Stripe does in classic mode. They wait as pending
invoice items for the next invoice.
"""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects.products import pricing_of, product_name


def prorate(w: Ledger, sub: Obj, old: list[Obj], new: list[Obj], at: int) -> None:
    """Credit `old` items and charge `new` ones from `at` to their period's end, where they differ."""
    before = {item["id"]: item for item in old}
    after = {item["id"]: item for item in new}
    for id_ in [*before, *(set(after) - set(before))]:
        was, now = before.get(id_), after.get(id_)
        if was and now and _worth(was) == _worth(now):
            continue
        for item, sign, word in ((was, -1, "Unused"), (now, 1, "Remaining")):
            if item is not None and item["price"]["recurring"]["usage_type"] == "licensed":
                _owe(w, sub, item, sign, word, at)


def _worth(item: Obj) -> tuple[str, int]:
    return str(item["price"]["id"]), int(item.get("quantity", 0))


def _owe(w: Ledger, sub: Obj, item: Obj, sign: int, word: str, at: int) -> None:
    start, end = int(item["current_period_start"]), int(item["current_period_end"])
    whole = int(item["price"]["unit_amount"] or 0) * int(item["quantity"])
    share = max(0, end - max(at, start)) / max(1, end - start)
    new_item(
        w, customer=sub["customer"], amount=sign * round(whole * share), currency=sub["currency"], sub=sub,
        price=item["price"], quantity=item["quantity"], period=(max(at, start), end), proration=True,
        description=f"{word} time on {item['quantity']} × {product_name(w, item['price'])}",
    )  # fmt: skip


def new_item(
    w: Ledger, *, customer: str, amount: int, currency: str, description: str | None,
    period: tuple[int, int], sub: Obj | None = None, price: Obj | None = None, quantity: int = 1,
    proration: bool = False, invoice: str | None = None, given: Obj | None = None,
) -> Obj:  # fmt: skip
    """An invoice item, waiting for an invoice unless one is named."""
    item = w.new(
        "invoiceitem", "ii_", given or NOTHING, amount=amount, currency=currency, customer=customer, date=w.now,
        description=description, discountable=not proration, discounts=[], invoice=invoice, net_amount=amount,
        parent={
            "type": "subscription_details",
            "subscription_details": {"subscription": sub["id"], "subscription_item": None},
        } if sub else None,
        period={"start": period[0], "end": period[1]}, pricing=pricing_of(price) if price else None,
        proration=proration, quantity=quantity, quantity_decimal=str(quantity), tax_rates=[],
        test_clock=(sub or w.get("customer", customer)).get("test_clock"),
    )  # fmt: skip
    if price:
        w.note(item["id"])["price"] = price["id"]
    w.put(item)
    w.emit("invoiceitem.created", item)
    return item
