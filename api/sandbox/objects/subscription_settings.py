"""How a subscription is billed: its mode and what that refuses, its tax, the end of its trial."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger


def check_intervals(sub: Obj) -> None:
    """In classic mode all items are billed together, so their intervals are one."""
    intervals = {(i["price"]["recurring"]["interval"], i["price"]["recurring"]["interval_count"])
                 for i in sub["items"]["data"]}  # fmt: skip
    if len(intervals) > 1 and sub["billing_mode"]["type"] == "classic":
        raise invalid(
            "All prices on a subscription must have the same `recurring.interval` and `recurring.interval_count`. If "
            "you meant to update an existing subscription item instead of creating a new one, make sure to include the "
            "subscription item ID in your request.", "items")  # fmt: skip


def automatic_tax(p: Obj) -> Obj:
    """`automatic_tax` of a subscription. Where nothing is registered, as here, it finds no tax."""
    enabled = bool((p.get("automatic_tax") or NOTHING).get("enabled"))
    return {"disabled_reason": None, "enabled": enabled, "liability": {"type": "self"} if enabled else None}


def billing_mode(w: Ledger, p: Obj) -> Obj:
    """Classic or flexible, as the request says; else the API version decides."""
    given = p.get("billing_mode") or NOTHING
    usual = "flexible" if w.version >= "2025-09-30" else "classic"
    if given.get("type", usual) == "classic":
        return {"type": "classic", "flexible": None}
    return {"type": "flexible", "flexible": {"proration_discounts": "included"} | (given.get("flexible") or NOTHING)}


def trial_settings(p: Obj) -> Obj:
    default: Obj = {"billing_cycle_anchor": "now", "missing_payment_method": "create_invoice"}
    given = (p.get("trial_settings") or NOTHING).get("end_behavior") or NOTHING
    return {"end_behavior": default | given}
