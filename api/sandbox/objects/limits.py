"""Stripe's own limits of a subscription, where the account's setting `limits` asks for them."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import EMPTY, Obj, StripeError
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR

BILLS, QUANTITIES = {60: 10, DAY: 20}, {HOUR: 200}
"""How often in so many seconds: new invoices, and changes of a quantity."""


def limit(w: Ledger, sub: Obj, what: str, bounds: dict[int, int]) -> None:
    """Note one more of these, or refuse it."""
    if not w.account["limits"]:
        return
    note = w.note(sub["id"])
    times: list[int] = [at for at in note.get(what, EMPTY) if at > w.now - DAY]
    for within, most in bounds.items():
        if sum(at > w.now - within for at in times) >= most:
            raise StripeError(429, "Too many requests for this subscription. Try again later.", code="rate_limit",
                              headers={"stripe-rate-limited-reason": "resource-specific"})  # fmt: skip
    note[what] = [*times, w.now]
