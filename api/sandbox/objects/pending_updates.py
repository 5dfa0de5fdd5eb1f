"""A change that waits for its payment (`payment_behavior=pending_if_incomplete`): held, shown, applied, discarded.

How Stripe documents it: the change takes effect when its invoice is paid, is discarded when that is voided, and voided
it is after 23 hours, at the end of the trial or of the period, whichever comes first.
"""

from __future__ import annotations

import copy

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import HOUR, earliest_end

LASTS = 23 * HOUR
FIELDS = ("items", "billing_cycle_anchor", "trial_end", "trial_start", "status", "discounts", "metadata",
          "cancel_at_period_end", "cancel_at", "canceled_at", "cancellation_details")  # fmt: skip
SUPPORTED = frozenset(
    {"expand", "payment_behavior", "proration_behavior", "proration_date", "billing_cycle_anchor", "items", "trial_end",
     "trial_from_plan", "add_invoice_items", "off_session"}
)  # fmt: skip
SINCE = {"discounts": "2026-05-27", "metadata": "2026-05-27", "cancel_at_period_end": "2026-09-30"}
"""What can wait since this version of the API."""
OF_AN_ITEM = frozenset({"id", "price", "plan", "quantity", "deleted"})


def check(sub: Obj, p: Obj, card: bool, version: str) -> None:
    """Refuse what a pending update does not support."""
    if sub["collection_method"] == "send_invoice":
        raise invalid("You cannot use `payment_behavior=pending_if_incomplete` when `collection_method=send_invoice`.",
                      "payment_behavior")  # fmt: skip
    if not card:
        raise invalid("You cannot use `payment_behavior=pending_if_incomplete` for a bank debit.",
                      "payment_behavior")  # fmt: skip
    names = [name for name in p if name not in SUPPORTED and version < SINCE.get(name, "9")]
    names += [f"items[{n}][{name}]" for n, item in enumerate(p.get("items") or EMPTY) for name in item
              if name not in OF_AN_ITEM]  # fmt: skip
    if names:
        raise invalid(f"The parameter `{names[0]}` is not supported when `payment_behavior=pending_if_incomplete`.",
                      names[0])  # fmt: skip


def hold(w: Ledger, sub: Obj, before: Obj, invoice: Obj) -> None:
    """Take the change back until its invoice is paid; nothing shows it before an attempt has failed."""
    after = {name: copy.deepcopy(sub[name]) for name in FIELDS}
    sub |= {name: copy.deepcopy(before[name]) for name in FIELDS}
    ends = [w.now + LASTS, earliest_end(sub)]
    if sub["status"] == "trialing":
        ends.append(sub["trial_end"])
    w.note(sub["id"])["pending"] = {"invoice": invoice["id"], "after": after, "until": min(ends), "shown": False}
    w.touch(invoice)["auto_advance"] = False


def show(w: Ledger, sub: Obj) -> None:
    """The first attempt failed: say what waits."""
    note = w.note(sub["id"]).get("pending")
    if note is None:
        return
    note["shown"] = True
    new: Obj = {name: value for name, value in note["after"].items() if value != sub[name]}
    w.touch(sub)["pending_update"] = {
        "billing_cycle_anchor": new.get("billing_cycle_anchor"), "discount": None, "discounts": new.get("discounts"),
        "expires_at": note["until"], "metadata": new.get("metadata"),
        "subscription_items": copy.deepcopy(new["items"]["data"]) if "items" in new else None,
        "trial_end": new.get("trial_end"), "trial_from_plan": None,
        "cancel_at_period_end": new.get("cancel_at_period_end"),
    }  # fmt: skip


def held(w: Ledger, sub: Obj, invoice: Obj) -> bool:
    """Is it this invoice for which a change of the subscription waits?"""
    return (w.notes.get(sub["id"], NOTHING).get("pending") or NOTHING).get("invoice") == invoice["id"]


def until(w: Ledger, sub: Obj) -> int | None:
    """When a change that waits is given up."""
    return (w.notes.get(sub["id"], NOTHING).get("pending") or NOTHING).get("until")


def apply(w: Ledger, sub: Obj) -> None:
    """Its invoice is paid: the change is made."""
    note = w.note(sub["id"]).pop("pending")
    w.touch(sub)
    was = sub["status"]
    sub |= note["after"] | {"pending_update": None}
    ends = {id_: w.get("discount", id_)["end"] for id_ in sub["discounts"]}
    sub["discounts"] = [id_ for id_, end in ends.items() if end is None or end > w.now]
    if was not in ("active", "trialing"):
        sub["status"] = was  # another invoice's doing
    if note["shown"]:
        w.emit("customer.subscription.pending_update_applied", sub, then_updated=True)
        w.emit("customer.subscription.updated", sub)


def discard(w: Ledger, sub: Obj) -> None:
    """Its invoice is void: nothing was."""
    w.note(sub["id"]).pop("pending", None)
    w.touch(sub)["pending_update"] = None
    w.emit("customer.subscription.pending_update_expired", sub, then_updated=True)
