"""What a meter counted: of a customer, in a window of time.

A value is counted once Stripe has processed it: `meter_lag` of the account's settings later than it was received.
"""

from __future__ import annotations

from fractions import Fraction

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import paged
from interlock.api.sandbox.core.periods import DAY, HOUR
from interlock.api.sandbox.core.resource import Route

MINUTE = 60
WINDOWS = {"hour": HOUR, "day": DAY}


def values(w: Ledger, meter: Obj, customer: str, window: tuple[int, int]) -> list[Obj]:
    """The values that count, by the time they are for."""
    lag = int(w.account["meter_lag"])
    found = [
        each for each in w.of_customer("meter_value", customer)
        if each["meter"] == meter["id"] and not each["canceled"] and each["received"] + lag <= w.now
        and window[0] <= each["at"] < window[1]
    ]  # fmt: skip
    found.sort(key=lambda each: (each["at"], each["received"]))
    if size := WINDOWS.get(str(meter["event_time_window"])):  # the last one received counts
        last: dict[int, Obj] = {}
        for each in found:
            kept = last.get(each["at"] // size)
            if kept is None or each["received"] >= kept["received"]:
                last[each["at"] // size] = each
        found = list(last.values())
    return found


def total(meter: Obj, found: list[Obj]) -> Fraction:
    """Their sum, number or last, as the meter says."""
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Fraction(len(found))
    amounts = [Fraction(each["value"]) for each in found]
    return (amounts[-1] if amounts else Fraction(0)) if formula == "last" else sum(amounts, Fraction(0))


def billable(w: Ledger, price: Obj, customer: str, window: tuple[int, int]) -> Fraction:
    """The quantity of a metered price to bill; below zero is nothing."""
    meter = w.find("billing.meter", price["recurring"].get("meter"))
    return max(Fraction(0), total(meter, values(w, meter, customer, window))) if meter else Fraction(0)


def decimal(number: Fraction) -> str:
    """As Stripe writes decimals."""
    digits = 12
    text = f"{number:.{digits}f}" if number.denominator != 1 else str(number.numerator)
    return text.rstrip("0").rstrip(".") if "." in text else text


# -- summaries -------------------------------------------------------------------------------------


def list_summaries(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/billing/meters/:id/event_summaries: one total, or one for each window that has values; newest first."""
    meter = w.get("billing.meter", id_)
    require(p, "customer", "start_time", "end_time")
    grain = WINDOWS.get(p.get("value_grouping_window", ""), MINUTE)
    for name in ("start_time", "end_time"):
        if p[name] % grain:
            unit = p.get("value_grouping_window", "minute")
            raise invalid(f"The {name} must align with {unit} boundaries.", name)
    if p["end_time"] <= p["start_time"]:
        raise invalid("The end_time must be after the start_time.", "end_time")
    customer = w.of("customer", p["customer"], "customer")
    found = values(w, meter, customer["id"], (p["start_time"], p["end_time"]))
    groups: dict[int, list[Obj]] = {}
    for each in found:
        at = each["at"] - each["at"] % grain if "value_grouping_window" in p else p["start_time"]
        groups.setdefault(at, []).append(each)
    size = grain if "value_grouping_window" in p else p["end_time"] - p["start_time"]
    summaries = [_summary(meter, customer, at, at + size, each) for at, each in sorted(groups.items(), reverse=True)]
    return paged(summaries, p, f"/v1/billing/meters/{id_}/event_summaries")


def _summary(meter: Obj, customer: Obj, start: int, end: int, found: list[Obj]) -> Obj:
    amount = total(meter, found)
    return {
        "id": f"mtrusg_{meter['id'][4:12]}{customer['id'][4:12]}{start}", "object": "billing.meter_event_summary",
        "aggregated_value": int(amount) if amount.denominator == 1 else float(amount), "end_time": end,
        "livemode": False, "meter": meter["id"], "start_time": start,
    }  # fmt: skip


# -- on an invoice ---------------------------------------------------------------------------------


def window_of(w: Ledger, item: Obj, until: int) -> tuple[int, int]:
    """The time whose usage an item owes: since its period began, or since it was last billed for."""
    since = max(int(item["current_period_start"]), int(w.notes.get(item["id"], NOTHING).get("used_from", 0)))
    return since, until


def remember(w: Ledger, line: Obj, price: Obj, customer: str, window: tuple[int, int]) -> None:
    """A line of a draft: what it counts is fixed only when the invoice is finalized."""
    w.note(line["id"])["usage"] = {"price": price["id"], "customer": customer, "window": list(window)}


ROUTES = (Route("GET", "billing/meters/*/event_summaries", "billing.meter_event_summary_list", list_summaries),)
