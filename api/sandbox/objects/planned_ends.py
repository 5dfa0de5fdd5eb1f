"""The planned end of a subscription: `cancel_at_period_end` and `cancel_at`."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import in_future


def schedule_cancel(w: Ledger, sub: Obj, p: Obj) -> None:
    """`cancel_at_period_end` and `cancel_at`, on and off."""
    if "cancel_at_period_end" in p and p.get("cancel_at"):
        raise invalid("You can only pass one of cancel_at and cancel_at_period_end.", "cancel_at")
    ends = [int(i["current_period_end"]) for i in sub["items"]["data"]]
    named = {"min_period_end": min(ends), "max_period_end": max(ends), "max_billed_until": max(ends)}
    if p.get("cancel_at_period_end"):
        at: int | None = min(ends)
    elif p.get("cancel_at") not in (None, ""):
        at = in_future(named.get(str(p["cancel_at"])) or int(p["cancel_at"]), w.now, "cancel_at")
    elif "cancel_at_period_end" in p or p.get("cancel_at") == "":
        at = None
    else:
        return
    at_period_end = bool(p.get("cancel_at_period_end"))
    if at_period_end and sub["cancel_at_period_end"]:
        return
    sub |= {"cancel_at": at, "cancel_at_period_end": at_period_end, "canceled_at": w.now if at else None}
    sub["cancellation_details"]["reason"] = "cancellation_requested" if at else None
    if not at:
        sub["cancellation_details"] |= {"comment": None, "feedback": None}
