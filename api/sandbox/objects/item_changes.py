"""Items, cycle and trial of a subscription changed, and billed for.  A preview runs the same code.

The words of the refusals are Stripe's, by recordings and reports of the real API, unless it says otherwise.
"""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, PROCESSING
from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, StripeError, invalid, missing, no_such
from interlock.api.sandbox.core.forms import merge_metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import earliest_end, earliest_start, period_around, period_end
from interlock.api.sandbox.objects import collection, drafts, invoice_document, meter_usage, pending_updates, standing
from interlock.api.sandbox.objects.amounts import amount_of
from interlock.api.sandbox.objects.invoice_items import new_item as new_invoice_item
from interlock.api.sandbox.objects.limits import BILLS, QUANTITIES, limit
from interlock.api.sandbox.objects.payments import NO_METHOD
from interlock.api.sandbox.objects.products import product_name, same_currency
from interlock.api.sandbox.objects.prorations import prorate
from interlock.api.sandbox.objects.subscription_settings import check_intervals
from interlock.api.sandbox.objects.subscriptions import insist, new_item, price_for, quantity_of
from interlock.api.sandbox.objects.trials import ended_without_method, warn_of_trial_end

ITEMS_MAX = 20
BILLING = ("items", "trial_end", "billing_cycle_anchor", "add_invoice_items")
"""What of an update may bill at once."""


def change(w: Ledger, sub: Obj, p: Obj, *, boundary: int | None = None) -> None:
    """Items and anchor as `p` gives them, with what time is owed for it.

    `boundary`: a phase ends at this moment; where a period does too, its renewal bills what is changed here.
    """
    anchor = _anchor(p)
    if not p.get("items") and anchor != "now":
        return
    check_date(w, sub, p)
    if len(p.get("items") or EMPTY) > ITEMS_MAX:
        raise invalid(f"You may pass up to {ITEMS_MAX} items.", "items")
    if any("quantity" in given for given in p.get("items") or EMPTY):
        limit(w, sub, "counted", QUANTITIES)
    items: list[Obj] = sub["items"]["data"]
    old = [dict(item) for item in items]
    for n, given in enumerate(p.get("items") or EMPTY):
        _change_item(w, sub, items, given, n)
    if not items:
        raise invalid("A subscription must have at least one active item.", "items")
    check_intervals(sub)
    if sub["status"] in ("active", "past_due", "unpaid"):
        _bill(w, sub, old, p, boundary)


def _anchor(p: Obj) -> str | None:
    given: Any = p.get("billing_cycle_anchor")
    return given.get("type") if isinstance(given, dict) else given  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def check_date(w: Ledger, sub: Obj, p: Obj) -> None:
    """A `proration_date` lies in the current period, and in the current phase of a schedule."""
    date = p.get("proration_date")
    if date is None:
        return
    if _anchor(p) == "now":
        raise invalid("You cannot specify `proration_date` when `billing_cycle_anchor=now`", "proration_date")
    if p.get("proration_behavior") == "none":
        raise invalid("You cannot specify `proration_date` when `proration_behavior=none`", "proration_date")
    schedule = w.find("subscription_schedule", sub["schedule"]) or NOTHING
    phase = schedule.get("current_phase") or {"start_date": 0, "end_date": date + 1}
    start, end = max(earliest_start(sub), phase["start_date"]), min(earliest_end(sub), phase["end_date"])
    if not start <= date < end:  # its real words are not known
        raise invalid(f"Invalid `proration_date`: it must be within the current billing period, {start} to {end}.",
                      "proration_date")  # fmt: skip


# -- items -----------------------------------------------------------------------------------------


def _change_item(w: Ledger, sub: Obj, items: list[Obj], given: Obj, n: int) -> None:
    item = _item_named(items, given, n)
    if given.get("deleted"):
        if item is None:
            raise missing(f"items[{n}][id]")
        settle_usage(w, sub, item)
        items.remove(item)
    elif item is None:
        item = new_item(w, sub["id"], given, (w.now, w.now), f"items[{n}]")
        _alone(items, item, sub, n)
        alike = [each for each in items if _interval(each) == _interval(item)]
        ends = [int(each["current_period_end"]) for each in alike or items]
        anchor = min(int(sub["billing_cycle_anchor"]), w.now)
        item["current_period_end"] = (min(ends) if alike or not ends
                                      else period_end(item["price"]["recurring"], anchor, w.now))  # fmt: skip
        items.append(item)
    else:
        _change_kept(w, sub, items, item, given, n)


def _change_kept(w: Ledger, sub: Obj, items: list[Obj], item: Obj, given: Obj, n: int) -> None:
    before = item["price"]["id"]
    if given.get("price") or given.get("plan") or given.get("price_data"):
        settle_usage(w, sub, item)
        item["price"] = dict(price_for(w, given, f"items[{n}]"))
        _alone([each for each in items if each is not item], item, sub, n)
    metered = item["price"]["recurring"]["usage_type"] == "metered"
    if metered and given.get("quantity") is not None:
        raise invalid("You cannot set the quantity for metered plans.", f"items[{n}][quantity]")
    if metered:
        item.pop("quantity", None)
    elif "quantity" in given or item["price"]["id"] != before or "quantity" not in item:
        item["quantity"] = quantity_of(given, f"items[{n}]")  # 1 where another price comes without one
    merge_metadata(item, given)


def settle_usage(w: Ledger, sub: Obj, item: Obj) -> None:
    """A metered price that goes: flexible billing bills what was used at it, classic drops that."""
    if item["price"]["recurring"]["usage_type"] != "metered" or sub["status"] not in ("active", "past_due"):
        return
    window = meter_usage.window_of(w, item, w.now)
    used = meter_usage.billable(w, item["price"], sub["customer"], window)
    w.note(item["id"])["used_from"] = w.now
    if used and sub["billing_mode"]["type"] == "flexible":
        new_invoice_item(
            w, customer=sub["customer"], amount=amount_of(w, item["price"], used), currency=sub["currency"], sub=sub,
            description=f"{meter_usage.decimal(used)} × {product_name(w, item['price'])}", price=item["price"],
            quantity=int(used), period=window, item=item["id"],
        )  # fmt: skip


def _item_named(items: list[Obj], given: Obj, n: int) -> Obj | None:
    if "id" not in given:
        return None
    found = next((item for item in items if item["id"] == given["id"]), None)
    if found is None:
        raise no_such("subscription_item", given["id"], f"items[{n}][id]", 400)
    return found


def _alone(others: list[Obj], item: Obj, sub: Obj, n: int) -> None:
    price = item["price"]
    same_currency(price, sub["currency"], f"items[{n}][price]")
    if other := next((each for each in others if each["price"]["id"] == price["id"]), None):
        raise invalid(
            f"A new item with Price {price['id']} can't be added to this Subscription because an existing Subscription "
            f"Item {other['id']} is already using that Price. If you want to update the existing item (e.g., to adjust "
            "the quantity), pass the existing Subscription Item's `id` in your update request: "
            "https://stripe.com/docs/api/subscriptions/update#update_subscription-items-id", "plan")  # fmt: skip


def _interval(item: Obj) -> tuple[Any, Any]:
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


# -- its bill --------------------------------------------------------------------------------------


def _bill(w: Ledger, sub: Obj, old: list[Obj], p: Obj, boundary: int | None) -> None:
    behavior, items = p.get("proration_behavior", "create_prorations"), sub["items"]["data"]
    kept = {item["id"]: item for item in old}
    switched = [item for item in items if item["id"] in kept and _interval(item) != _interval(kept[item["id"]])]
    freed = [item for item in items if item["id"] in kept and _free(kept[item["id"]]) and not _free(item)]
    classic = sub["billing_mode"]["type"] == "classic"
    anew = _anchor(p) == "now" or (classic and (switched or freed) and _anchor(p) != "unchanged")
    if boundary is not None and earliest_end(sub) <= boundary:
        if anew or switched:
            sub["billing_cycle_anchor"] = boundary
        return
    if not anew:
        for item in switched:  # flexible: the cycle stays, and the item's period is the one around now
            anchor = min(int(sub["billing_cycle_anchor"]), w.now)
            start, end = period_around(item["price"]["recurring"], anchor, w.now)
            item |= {"current_period_start": start, "current_period_end": end}
    if behavior != "none":
        prorate(w, sub, old, [] if anew else items, int(p.get("proration_date") or w.now))
    if anew:
        standing.restart_periods(w, sub)
        invoice_now(w, sub, [full_line(w, sub, item) for item in items if licensed(item)], p)
    elif behavior == "always_invoice" and drafts.pending_items(w, sub):
        invoice_now(w, sub, [], p)


def _free(item: Obj) -> bool:
    return item["price"]["billing_scheme"] == "per_unit" and not float(item["price"]["unit_amount_decimal"] or 0)


def licensed(item: Obj) -> bool:
    """Paid before it is used, unlike a metered one."""
    return bool(item["price"]["recurring"]["usage_type"] == "licensed")


def full_line(w: Ledger, sub: Obj, item: Obj, *, trial: bool = False) -> Obj:
    """The line of an item's whole period."""
    period = (item["current_period_start"], item["current_period_end"])
    return invoice_document.new_line(w, price=item["price"], quantity=item.get("quantity", 0), sub=sub, item=item,
                                     period=period, trial=trial)  # fmt: skip


def invoice_now(w: Ledger, sub: Obj, lines: list[Obj], p: Obj) -> str:
    """Bill at once: draft, finalize, and collect as `payment_behavior` says."""
    limit(w, sub, "billed", BILLS)
    period = (min(earliest_start(sub), w.now), w.now)
    invoice = drafts.draft_invoice(w, sub, reason="subscription_update", lines=lines, period=period)
    behavior = p.get("payment_behavior")
    before = w.touched.get(("subscription", sub["id"]))
    if behavior == "pending_if_incomplete" and before is not None:
        pending_updates.hold(w, sub, before, invoice)
    invoice_document.finalize(w, invoice)
    if behavior == "default_incomplete" and invoice["amount_due"] and sub["collection_method"] != "send_invoice":
        collection.prepare(w, invoice)
        w.touch(sub)["status"] = "past_due"
        return NO_METHOD
    outcome = collection.collect(w, invoice)
    if outcome == AUTHENTICATE and behavior == "error_if_incomplete":
        raise _needs_action()
    insist(outcome, p)
    if outcome not in (OK, PROCESSING):
        pending_updates.show(w, sub)
    return outcome


def _needs_action() -> StripeError:
    return StripeError(
        402, "Payment for this subscription requires additional user action, but the requested payment behavior "
        "doesn't save the invoice or PaymentIntent. Retry the request with `payment_behavior=allow_incomplete` or "
        "`payment_behavior=default_incomplete`, then complete the PaymentIntent on the subscription's latest invoice. "
        "Additional information is available here: "
        "https://stripe.com/docs/billing/subscriptions/overview#requires-action",
        type="card_error", code="subscription_payment_intent_requires_action")  # fmt: skip


def add_invoice_items(w: Ledger, sub: Obj, p: Obj) -> None:
    """One-time prices, on the next invoice."""
    for n, given in enumerate(p.get("add_invoice_items") or EMPTY):
        price = w.of("price", given.get("price", ""), f"add_invoice_items[{n}][price]")
        same_currency(price, sub["currency"], f"add_invoice_items[{n}][price]")
        quantity = int(given.get("quantity", 1))
        product = w.find("product", price["product"]) or NOTHING
        new_invoice_item(
            w, customer=sub["customer"], amount=amount_of(w, price, quantity), currency=sub["currency"],
            description=product.get("name"), period=(w.now, w.now), sub=sub, price=price, quantity=quantity,
        )  # fmt: skip


def drop(w: Ledger, sub: Obj) -> None:
    """Give up a change that waits for its payment, as another one takes its place."""
    if note := w.notes.get(sub["id"], NOTHING).get("pending"):
        collection.annul(w, w.get("invoice", note["invoice"]))


# -- trial -----------------------------------------------------------------------------------------


def change_trial(w: Ledger, sub: Obj, p: Obj) -> None:
    """`trial_end`: ended now, put off, or begun anew."""
    given = p.get("trial_end")
    if given == "now" and sub["status"] == "trialing":
        _end_trial_now(w, sub, p)
    elif given not in (None, "now"):
        move_trial(w, sub, int(given), p)


def move_trial(w: Ledger, sub: Obj, end: int, p: Obj) -> None:
    """The trial ends then; one who paid for this time already gets credit for the rest of it."""
    if sub["status"] == "paused":
        raise invalid("You cannot set `trial_end` while a subscription is `paused`. Resume the subscription first "
                      "before setting `trial_end`.")  # fmt: skip
    if sub["status"] not in ("active", "trialing"):
        raise invalid(f"Cannot update trial_end on a subscription with status `{sub['status']}`. Only active or "
                      "trialing subscriptions can be updated with trial_end.", "trial_end",
                      "status_transition_invalid")  # fmt: skip
    begins = sub["status"] == "active"
    if begins and p.get("proration_behavior") != "none":
        prorate(w, sub, sub["items"]["data"], [], w.now)
    sub |= {"trial_end": end, "billing_cycle_anchor": end, "status": "trialing"}
    sub["trial_start"] = w.now if begins else sub["trial_start"]
    for item in sub["items"]["data"]:
        item |= {"current_period_end": end} | ({"current_period_start": w.now} if begins else {})
    if begins:
        lines = [full_line(w, sub, item, trial=True) for item in sub["items"]["data"] if licensed(item)]
        invoice_now(w, sub, lines, p)


def _end_trial_now(w: Ledger, sub: Obj, p: Obj) -> None:
    sub["trial_end"] = w.now
    warn_of_trial_end(w, sub)
    if ended_without_method(w, sub):
        return
    standing.restart_periods(w, sub)
    sub["status"] = "active"
    invoice_now(w, sub, [full_line(w, sub, item) for item in sub["items"]["data"] if licensed(item)], p)
