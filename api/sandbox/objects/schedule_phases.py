"""The phases of a subscription schedule: made from parameters, entered by time or at once, split by a direct change."""

from __future__ import annotations

from typing import Any, cast

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import period_end
from interlock.api.sandbox.objects import item_changes, schedule_state
from interlock.api.sandbox.objects.discounts import Use, chosen, redeem
from interlock.api.sandbox.objects.products import same_currency
from interlock.api.sandbox.objects.subscriptions import price_for, quantity_of

PHASES_MAX = 10
SPLITTING = ("items", "discounts", "trial_end", "coupon", "promotion_code")
"""What of a subscription's own update makes a new phase, by Stripe's documentation."""
COPIED = ("collection_method", "default_payment_method", "description")


# -- made ------------------------------------------------------------------------------------------


def phase_of(sub: Obj) -> Obj:
    """The one phase of a schedule that takes over a subscription: its current billing period."""
    items: list[Obj] = sub["items"]["data"]
    start = min(int(item["current_period_start"]) for item in items)
    end = min(int(item["current_period_end"]) for item in items)
    return _phase(
        (start, end), [_item(item["price"]["id"], item.get("quantity"), item["metadata"]) for item in items],
        currency=sub["currency"], trial_end=sub["trial_end"] if sub["status"] == "trialing" else None,
        collection_method=sub["collection_method"], default_payment_method=sub["default_payment_method"],
        description=sub["description"], discounts=[_discount(discount=id_) for id_ in sub["discounts"]],
    )  # fmt: skip


def _phase(window: tuple[int, int], items: list[Obj], **more: Any) -> Obj:
    return {
        "add_invoice_items": [], "application_fee_percent": None, "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": None, "billing_thresholds": None, "collection_method": None, "currency": "usd",
        "default_payment_method": None, "default_tax_rates": [], "description": None, "discounts": [],
        "end_date": window[1], "invoice_settings": None, "items": items, "metadata": {}, "on_behalf_of": None,
        "proration_behavior": "create_prorations", "start_date": window[0], "transfer_data": None, "trial_end": None,
    } | more  # fmt: skip


def _item(price: str, quantity: int | None, own: Obj) -> Obj:
    item: Obj = {"billing_thresholds": None, "discounts": [], "metadata": dict(own), "price": price, "tax_rates": []}
    return item if quantity is None else item | {"quantity": quantity}


def _discount(**named: str) -> Obj:
    return {"coupon": None, "discount": None, "promotion_code": None} | named


def made(w: Ledger, given: list[Obj], start: int, currency: str | None = None) -> list[Obj]:
    """The phases that a request gives, each beginning where the one before it ends."""
    phases: list[Obj] = []
    for n, each in enumerate(given):
        named = w.now if each.get("start_date") == "now" else each.get("start_date")
        if n and named not in (None, start):
            raise invalid("The start_date of a phase must be the end_date of the phase before it.",
                          f"phases[{n}][start_date]")  # fmt: skip
        start = int(named) if named is not None else start
        phase = _given(w, each, start, n, currency)
        phases.append(phase)
        currency, start = phase["currency"], phase["end_date"]
    if sum(phase["end_date"] > w.now for phase in phases) > PHASES_MAX:
        raise invalid(f"A subscription schedule can have at most {PHASES_MAX} current and future phases.", "phases")
    return phases


def _given(w: Ledger, given: Obj, start: int, n: int, currency: str | None) -> Obj:
    param = f"phases[{n}]"
    if given.get("add_invoice_items"):
        raise invalid(f"Stripe knows {param}[add_invoice_items], but the sandbox does not have it.",
                      f"{param}[add_invoice_items]")  # fmt: skip
    items: list[Obj] = []
    prices: list[Obj] = []
    for m, each in enumerate(given["items"]):
        price = price_for(w, each, f"{param}[items][{m}]")
        currency = same_currency(price, currency, f"{param}[items][{m}][price]")
        licensed = price["recurring"]["usage_type"] == "licensed"
        quantity = quantity_of(each, f"{param}[items][{m}]") if licensed else None
        items.append(_item(price["id"], quantity, metadata(each)))
        prices.append(price)
    if not items:
        raise invalid(f"Missing required param: {param}[items].", f"{param}[items]", "parameter_missing")
    end = _end(w, given, start, prices, param)
    more: Obj = {key: given[key] for key in ("collection_method", "default_payment_method", "description",
                 "proration_behavior", "billing_cycle_anchor", "invoice_settings") if given.get(key)}  # fmt: skip
    if method := given.get("default_payment_method"):
        w.of("payment_method", method, f"{param}[default_payment_method]")
    trial = end if given.get("trial") else given.get("trial_end")
    discounts: list[Obj] = given.get("discounts") or EMPTY
    return _phase(
        (start, end), items, currency=currency, metadata=dict(given.get("metadata") or NOTHING),
        discounts=[_named(w, each, f"{param}[discounts][{m}]") for m, each in enumerate(discounts)],
        trial_end=w.now if trial == "now" else trial, **more,
    )  # fmt: skip


def _end(w: Ledger, given: Obj, start: int, prices: list[Obj], param: str) -> int:
    """By `end_date` or `duration`; else one interval of the phase's price."""
    if given.get("end_date") is not None and given.get("duration"):
        raise invalid("You may only specify one of these parameters: end_date, duration.", f"{param}[end_date]")
    if given.get("end_date") is not None:
        end = w.now if given["end_date"] == "now" else int(given["end_date"])
    else:
        recurring = {"interval_count": 1} | (given.get("duration") or prices[0]["recurring"])
        end = period_end(recurring, start, start)
    if end <= start:
        raise invalid("The end_date of a phase must be later than its start_date.", f"{param}[end_date]")
    return end


def _named(w: Ledger, each: Obj, param: str) -> Obj:
    if kept := each.get("discount"):
        w.of("discount", kept, f"{param}[discount]")
        return _discount(discount=kept)
    chosen(w, each, Use(None), param)
    return _discount(**{key: each[key] for key in ("coupon", "promotion_code") if each.get(key)})


def without_iterations(w: Ledger, given: Obj) -> Obj:
    """A request from before `iterations` gave way to `duration`, as it is written today."""
    phases: Any = given["phases"]
    listed = cast("list[Any]", phases) if isinstance(phases, list) else []
    made = [_with_duration(w, cast("Obj", each)) if isinstance(each, dict) else each for each in listed]
    return given | {"phases": made or phases}


def _with_duration(w: Ledger, phase: Obj) -> Obj:
    items: Any = phase.get("items")
    first = cast("Any", items[0]) if isinstance(items, list) and items else None
    price = w.find("price", str(cast("Obj", first).get("price"))) if isinstance(first, dict) else None
    count = str(phase.get("iterations", ""))
    if price is None or not price["recurring"] or not count.isdecimal():
        return phase
    recurring = price["recurring"]
    duration = {"interval": recurring["interval"], "interval_count": int(count) * recurring["interval_count"]}
    return {key: value for key, value in phase.items() if key != "iterations"} | {"duration": duration}


# -- current ---------------------------------------------------------------------------------------


def current(schedule: Obj) -> Obj | None:
    """The phase that runs."""
    running = schedule["current_phase"]
    return next((p for p in schedule["phases"] if running and p["start_date"] == running["start_date"]), None)


def point_at(schedule: Obj, phase: Obj | None) -> None:
    """Say which phase runs."""
    schedule["current_phase"] = phase and {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def following(schedule: Obj) -> Obj | None:
    """The phase after the one that runs."""
    running = schedule["current_phase"]
    return next((p for p in schedule["phases"] if running and p["start_date"] >= running["end_date"]), None)


# -- entered ---------------------------------------------------------------------------------------


def cross(w: Ledger, sub: Obj, at: int) -> None:
    """The phase that ends at this moment gives way to the next; after the last one the schedule is completed."""
    schedule = w.find("subscription_schedule", sub["schedule"])
    if schedule is None or schedule["status"] != "active" or schedule["current_phase"]["end_date"] > at:
        return
    phase = following(schedule)
    if phase is None:
        schedule_state.close(w, schedule, sub, "completed")
        return
    enter(w, schedule, sub, phase, at=at)
    w.emit("subscription_schedule.updated", schedule)


def enter(
    w: Ledger, schedule: Obj, sub: Obj, phase: Obj, *, proration: str | None = None, at: int | None = None
) -> None:
    """Make the subscription what the phase says: `at` the moment it begins, or at once with this `proration`."""
    w.touch(schedule)
    point_at(schedule, phase)
    item_changes.drop(w, sub)
    w.touch(sub)
    _take(w, sub, phase)
    sub["discounts"] = redeem(w, phase["discounts"], Use(sub["customer"]), customer=sub["customer"], sub=sub["id"])
    if (phase["trial_end"] or 0) > w.now and phase["trial_end"] != sub["trial_end"]:
        item_changes.move_trial(w, sub, phase["trial_end"], {"proration_behavior": "none"})
    change: Obj = {"items": _changed(sub, phase), "proration_behavior": proration or phase["proration_behavior"]}
    if phase["billing_cycle_anchor"] == "phase_start" and at is not None:
        change["billing_cycle_anchor"] = {"type": "now"}
    item_changes.change(w, sub, change, boundary=at)
    if schedule["end_behavior"] == "cancel":
        last = following(schedule) is None
        sub["cancel_at"] = phase["end_date"] if last else None


def _take(w: Ledger, sub: Obj, phase: Obj) -> None:
    for name in COPIED:
        if phase[name]:
            sub[name] = phase[name]
    if days := (phase["invoice_settings"] or NOTHING).get("days_until_due"):
        sub["days_until_due"] = days
    merged = sub["metadata"] | phase["metadata"]
    sub["metadata"] = {key: value for key, value in merged.items() if value != ""}


def _changed(sub: Obj, phase: Obj) -> list[Obj]:
    """The items as an update would give them: the same price keeps its item, then the same place, the rest is new."""
    left: list[Obj] = list(sub["items"]["data"])
    pairs: list[tuple[Obj, Obj | None]] = []
    for wanted in phase["items"]:
        found = next((item for item in left if item["price"]["id"] == wanted["price"]), None)
        pairs.append((wanted, found))
        if found is not None:
            left.remove(found)
    changed: list[Obj] = []
    for wanted, found in pairs:
        item = found or (left.pop(0) if left else None)
        given = {key: wanted[key] for key in ("price", "quantity") if key in wanted}
        changed.append({"id": item["id"]} | given if item is not None else given)
    return changed + [{"id": item["id"], "deleted": True} for item in left]


# -- split -----------------------------------------------------------------------------------------


def follow(w: Ledger, sub: Obj, p: Obj) -> None:
    """A direct change of a managed subscription: the phase is split where it was changed, or takes what was set."""
    schedule = w.find("subscription_schedule", sub["schedule"])
    phase = current(schedule) if schedule else None
    if schedule is None or phase is None:
        return
    w.touch(schedule)
    for name in COPIED:
        if name in p:
            phase[name] = schedule["default_settings"][name] = sub[name]
    if any(name in p for name in SPLITTING):
        new = phase_of(sub) | {key: phase[key] for key in ("end_date", "proration_behavior", "billing_cycle_anchor",
                                                           "description", "metadata")}  # fmt: skip
        new["start_date"] = w.now
        at = schedule["phases"].index(phase)
        if phase["start_date"] < w.now:
            phase["end_date"] = w.now
            at += 1
            schedule["phases"].insert(at, new)
        else:
            schedule["phases"][at] = new
        point_at(schedule, new)
    w.emit("subscription_schedule.updated", schedule)
