"""The end of a trial: its announcement, and what happens without a payment method."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import collection, standing


def warn_of_trial_end(w: Ledger, sub: Obj) -> None:
    """`trial_will_end`, once per trial end."""
    w.note(sub["id"])["warned"] = sub["trial_end"]
    w.emit("customer.subscription.trial_will_end", sub, then_updated=True)


def ended_without_method(w: Ledger, sub: Obj) -> bool:
    """Pause or cancel, as `missing_payment_method` says, when nothing could be charged. Done so?"""
    behavior = ((sub["trial_settings"] or NOTHING).get("end_behavior") or NOTHING).get("missing_payment_method")
    if sub["collection_method"] == "charge_automatically" and collection.method_of(w, sub) is None:
        if behavior == "cancel":
            standing.end(w, sub, reason=None)
            return True
        if behavior == "pause":
            standing.pause(w, sub, "trial_end_without_payment_method")
            return True
    return False
