"""The end of a period: the next one of each item that is due, and the draft that bills it."""

from __future__ import annotations

from collections.abc import Callable

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import earliest_end, earliest_start, period_end
from interlock.api.sandbox.objects import collection, drafts, invoice_document, meter_usage, schedule_phases

BILLED = frozenset({"trialing", "active", "past_due", "unpaid"})


def renew(w: Ledger, sub: Obj) -> None:
    """The next period of each item that is due, and the draft that bills it; a schedule's phase that ends with the
    period gives way first, so there is one invoice, at the new price."""
    w.touch(sub)
    mark = len(w.fresh_events)
    now = earliest_end(sub)
    past = earliest_start(sub), now
    used = metered_lines(w, sub, now)
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
        if item["price"]["recurring"]["usage_type"] == "licensed":
            lines.append(invoice_document.new_line(w, price=item["price"], quantity=item["quantity"], sub=sub,
                                                   item=item, period=period))  # fmt: skip
    lines += used
    stopped = sub["status"] == "unpaid" or sub["pause_collection"] is not None
    invoice = drafts.draft_invoice(
        w, sub, reason="subscription_cycle", lines=lines, period=past, auto_advance=not stopped
    )
    w.emit("customer.subscription.updated", sub, at=mark)
    behavior = (sub["pause_collection"] or NOTHING).get("behavior")
    if behavior in ("void", "mark_uncollectible"):
        invoice_document.finalize(w, invoice)
        PAUSED_COLLECTION[behavior](w, invoice)


def metered_lines(w: Ledger, sub: Obj, until: int) -> list[Obj]:
    """What the metered items whose period ends by then have used in it; what is used in a trial is free."""
    items = [item for item in sub["items"]["data"] if item["price"]["recurring"]["usage_type"] == "metered"]
    return [invoice_document.usage_line(w, item["price"], sub, item, meter_usage.window_of(w, item, until))
            for item in items if item["current_period_end"] <= until and sub["trial_end"] != until]  # fmt: skip


PAUSED_COLLECTION: dict[str, Callable[[Ledger, Obj], None]] = {
    "void": collection.annul,
    "mark_uncollectible": lambda w, invoice: collection.forgive(w, invoice, "subscription_paused"),
}
