"""What time is owed when a subscription changes: credits for the rest of what was billed, debits for the rest of
what comes instead.  They wait as pending invoice items for the next invoice.

Stripe's arithmetic, by recordings of the real API at 2026-08-26.dahlia: the share of a period is an exact fraction of
seconds; a line is the floor of its own exact amount, so a credit of 2.5 cents is -3 and a debit of 4.5 is +4; a changed
quantity is prorated whole, never by its difference.  By Stripe's documentation: discounts are inside the amounts;
classic billing credits the price that the item has now, flexible billing what was billed for it, a credit a debit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import amounts, drafts, invoice_items, standing
from interlock.api.sandbox.objects.products import product_name


class Owed(NamedTuple):
    """A thing billed, or to be billed, for a window of time: what the whole window is worth after discounts."""

    worth: Fraction
    window: tuple[int, int]
    since: int
    """From when the thing was had: later than the window's start where a change brought it."""
    price: Obj
    quantity: int
    key: str = ""
    """The invoice line or invoice item that billed it; a credit notes it, so that nothing is credited twice."""
    credited: Obj | None = None
    discounts: tuple[str, ...] = ()


def share(window: tuple[int, int], at: int) -> Fraction:
    """The part of a window that is left at a moment."""
    start, end = window
    return Fraction(end - min(max(at, start), end), max(1, end - start))


def prorate(w: Ledger, sub: Obj, old: list[Obj], new: list[Obj], at: int, *, plain: bool = False) -> None:
    """Credit `old` items and charge `new` ones from `at` to their period's end, where they differ.

    `plain`: recorded of a cancellation's credit, which names no parent and not what it credits.
    """
    before = {item["id"]: item for item in old}
    after = {item["id"]: item for item in new}
    back: list[tuple[Obj, Owed]] = []
    debits: list[tuple[Obj, Owed]] = []
    for id_ in [*before, *(name for name in after if name not in before)]:
        was, now = before.get(id_), after.get(id_)
        if was and now and _same(was, now):
            continue
        if was is not None:
            back += [(was, owed) for owed in _credits(w, sub, was, old, at)]
        if now is not None and _licensed(now):
            debits.append((now, _present(w, sub, now, new, _window(now, was, old))))
    for item, owed in debits:  # first, so that lists, which begin with the newest, begin with the credits
        _write(w, sub, item, owed, at, 1)
    for item, owed in back:
        _write(w, sub, item, owed, at, -1, plain)


def _same(was: Obj, now: Obj) -> bool:
    return (was["price"]["id"], was.get("quantity")) == (now["price"]["id"], now.get("quantity"))


def _licensed(item: Obj) -> bool:
    return bool(item["price"]["recurring"]["usage_type"] == "licensed")


def _window(now: Obj, was: Obj | None, old: list[Obj]) -> tuple[int, int]:
    """Whose time it is: the item's own period; an item that was added rides the subscription's."""
    if was is None and old:
        return min(i["current_period_start"] for i in old), min(i["current_period_end"] for i in old)
    return now["current_period_start"], now["current_period_end"]


# -- what an item is worth -------------------------------------------------------------------------


def _present(w: Ledger, sub: Obj, item: Obj, items: list[Obj], window: tuple[int, int]) -> Owed:
    """An item at its present price, with the discounts that are in force."""
    ids = tuple(drafts.discounts_now(w, sub))
    worth = _gross(w, item)
    for id_ in ids:
        coupon = w.find("coupon", w.get("discount", id_)["source"]["coupon"]) or NOTHING
        if coupon.get("percent_off"):
            worth *= 1 - Fraction(str(coupon["percent_off"])) / 100
        else:
            worth -= min(worth, _part(w, sub, item, items) * int(coupon.get("amount_off") or 0))
    return Owed(worth, window, window[0], item["price"], int(item.get("quantity", 1)), discounts=ids)


def _part(w: Ledger, sub: Obj, item: Obj, items: list[Obj]) -> Fraction:
    """An item's part of an amount off: the same for each in classic billing, by their amounts in flexible."""
    if sub["billing_mode"]["type"] == "classic":
        return Fraction(1, max(1, len(items)))
    whole = sum((_gross(w, each) for each in items), Fraction(0))
    return _gross(w, item) / whole if whole else Fraction(0)


def _gross(w: Ledger, item: Obj) -> Fraction:
    return amounts.exactly(w, item["price"], int(item.get("quantity", 1))) if _licensed(item) else Fraction(0)


# -- what is credited ------------------------------------------------------------------------------


def _credits(w: Ledger, sub: Obj, item: Obj, items: list[Obj], at: int) -> list[Owed]:
    if not _licensed(item):
        return []
    billed = [owed for owed in billed_for(w, sub, item) if owed.window[1] > at]
    if sub["billing_mode"]["type"] == "flexible":
        return billed
    present = _present(w, sub, item, items, (item["current_period_start"], item["current_period_end"]))
    return [present._replace(credited=billed[-1].credited if billed else None)]


def billed_for(w: Ledger, sub: Obj, item: Obj) -> list[Owed]:
    """The debits of an item that no credit has taken back: lines of invoices that are not void, pending items."""
    taken = {note["credits"] for note in _notes(w, sub) if "credits" in note}
    return [owed for owed in _debits(w, sub, item) if owed.key not in taken]


def _notes(w: Ledger, sub: Obj) -> Iterator[Obj]:
    """The notes of the subscription's invoice items, but those of void invoices."""
    for each in w.of_customer("invoiceitem", sub["customer"]):
        void = (w.find("invoice", each["invoice"]) or NOTHING).get("status") == "void"
        note = w.notes.get(each["id"], NOTHING)
        if not void and note.get("subscription") == sub["id"]:
            yield note


def _debits(w: Ledger, sub: Obj, item: Obj) -> Iterator[Owed]:
    for invoice in standing.invoices_of(w, sub):
        for line in invoice["lines"]["data"] if invoice["status"] != "void" else ():
            details = line["parent"]["subscription_item_details"] or NOTHING
            if details.get("subscription_item") == item["id"] and _licensed_line(w, line):
                yield from _billed_line(w, invoice, line, details)
    for each in w.of_customer("invoiceitem", sub["customer"]):
        note = w.notes.get(each["id"], NOTHING)
        if not each["invoice"] and note.get("item") == item["id"] and "credits" not in note and "worth" in note:
            yield _noted(w, each["id"], {"type": "invoice_item", "invoice_item": each["id"]})


def _licensed_line(w: Ledger, line: Obj) -> bool:
    price = w.find("price", line["pricing"]["price_details"]["price"])
    return price is not None and bool((price["recurring"] or NOTHING).get("usage_type") == "licensed")


def _billed_line(w: Ledger, invoice: Obj, line: Obj, details: Obj) -> Iterator[Owed]:
    credited: Obj = {
        "type": "invoice_line_items",
        "invoice_line_item_details": {"invoice": invoice["id"], "invoice_line_items": [line["id"]]},
    }
    if (name := details["invoice_item"]) is None:
        off = sum(int(each["amount"]) for each in line["discount_amounts"])
        window = line["period"]["start"], line["period"]["end"]
        price = w.get("price", line["pricing"]["price_details"]["price"])
        yield Owed(Fraction(line["amount"] - off), window, window[0], price, int(line["quantity"] or 0), line["id"],
                   credited)  # fmt: skip
    elif "worth" in (note := w.notes.get(name, NOTHING)) and "credits" not in note:
        yield _noted(w, name, credited)


def _noted(w: Ledger, name: str, credited: Obj) -> Owed:
    """A debit of an earlier change, as it was noted."""
    note, each = w.notes[name], w.get("invoiceitem", name)
    start, end = note["window"]
    return Owed(Fraction(note["worth"]), (start, end), each["period"]["start"], w.get("price", note["price"]),
                each["quantity"], name, credited)  # fmt: skip


def _write(w: Ledger, sub: Obj, item: Obj, owed: Owed, at: int, sign: int, plain: bool = False) -> None:
    """One line, where there is time left for it; also one of 0."""
    at = max(at, owed.since) if sign < 0 else at
    left = share(owed.window, at)
    if not left:
        return
    many = "" if owed.quantity == 1 else f"{owed.quantity} × "
    day = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%d %b %Y")
    word = "Unused" if sign < 0 else "Remaining"
    made = invoice_items.new_item(
        w, customer=sub["customer"], amount=(sign * left * owed.worth).__floor__(), currency=sub["currency"], sub=sub,
        price=owed.price, quantity=owed.quantity, period=(max(at, owed.window[0]), owed.window[1]), proration=True,
        description=f"{word} time on {many}{product_name(w, owed.price)} after {day}", item=item["id"],
        credited=owed.credited if sign < 0 else None, plain=plain,
    )  # fmt: skip
    note = w.note(made["id"])
    if sign < 0:
        note["credits"] = owed.key
    else:
        note |= {"worth": str(owed.worth), "window": list(owed.window), "discounts": list(owed.discounts)}
