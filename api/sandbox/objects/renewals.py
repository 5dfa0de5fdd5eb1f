"""The end of a period: the next one of each item that is due, and the draft that bills it."""

from __future__ import annotations

from collections.abc import Callable

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import earliest_end, earliest_start, period_end
from interlock.api.sandbox.objects import collection, invoice_document, schedule_phases

BILLED = frozenset({"trialing", "active", "past_due", "unpaid"})


def renew(w: Ledger, sub: Obj) -> None:
    """The next period of each item that is due, and the draft that bills it; a schedule's phase that ends with the
    period gives way first, so there is one invoice, at the new price."""
    w.touch(sub)
    mark = len(w.fresh_events)
    now = earliest_end(sub)
    past = earliest_start(sub), now
    schedule_phases.cross(w, sub, now)
    lines: list[Obj] = []
    for item in sub["items"]["data"]:
        if item["current_period_end"] > now:
            continue
        start = int(item["current_period_end"])
        anchor = min(int(sub["billing_cycle_anchor"]), start)
        item |= {
            "current_period_start": start,
            "current_period_end": period_end(item["price"]["recurring"], anchor, start),
        }
        period = (start, item["current_period_end"])
        lines.append(invoice_document.new_line(w, price=item["price"], quantity=usage(w, sub, item, past), sub=sub,
                                               item=item, period=period))  # fmt: skip
    stopped = sub["status"] == "unpaid" or sub["pause_collection"] is not None
    invoice = collection.draft_invoice(
        w, sub, reason="subscription_cycle", lines=lines, period=past, auto_advance=not stopped
    )
    w.emit("customer.subscription.updated", sub, at=mark)
    behavior = (sub["pause_collection"] or NOTHING).get("behavior")
    if behavior in ("void", "mark_uncollectible"):
        invoice_document.finalize(w, invoice)
        PAUSED_COLLECTION[behavior](w, invoice)


PAUSED_COLLECTION: dict[str, Callable[[Ledger, Obj], None]] = {
    "void": collection.annul,
    "mark_uncollectible": lambda w, invoice: collection.forgive(w, invoice, "subscription_paused"),
}


def usage(w: Ledger, sub: Obj, item: Obj, period: tuple[int, int]) -> int:
    """The quantity to bill: the item's, or for metered prices what the meter counted in the period."""
    recurring = item["price"]["recurring"]
    meter = w.find("billing.meter", recurring.get("meter"))
    if meter is None:
        return int(item.get("quantity", 0 if recurring["usage_type"] == "metered" else 1))
    values = [float(e["payload"].get("value", 0)) for e in w.all("billing.meter_event")
              if e["event_name"] == meter["event_name"]
              and e["payload"].get("stripe_customer_id") == sub["customer"]
              and period[0] <= e["timestamp"] < period[1]]  # fmt: skip
    return int(FORMULAS[str(meter["default_aggregation"]["formula"])](values))


def _last(values: list[float]) -> float:
    return values[-1] if values else 0


FORMULAS: dict[str, Callable[[list[float]], float]] = {"sum": sum, "count": len, "last": _last}
