"""What a change of plan would cost.  Every amount is Stripe's: nothing is computed here.

A preview fixes the moment (`proration_date`), so that the change itself, made with that moment, costs the same to the
cent.  Where the billing date moves with the change (another interval), Stripe can't hold the moment.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, structs

from interlock.engine.core.changes import main_item
from interlock.engine.core.holding import Holding
from interlock.engine.core.states import Item
from interlock.engine.core.view import interval_of, rfc3339
from interlock.engine.errors import NotAccepted, StripeRefused
from interlock.engine.read.planning import Conflict, Planned
from interlock.engine.wire import billing, present
from interlock.engine.wire.client import StripeClient


class PlanTo(Struct, frozen=True):
    """What the subscription would be."""

    key: str | None
    quantity: int
    interval: str | None


class LineShown(Struct, frozen=True):
    """One line of the money, in Stripe's words; `amount` in the smallest unit."""

    text: str
    amount: int
    proration: bool


class NextInvoice(Struct, frozen=True):
    """The next renewal after the change."""

    at: str | None
    amount: int


class Agreed(Struct, frozen=True, forbid_unknown_fields=True):
    """What was shown to the user and is to hold.  `at` is None where Stripe can't hold the moment."""

    due_now: int
    at: str | None = None


class ChangePreview(Struct, frozen=True, kw_only=True):
    """What a change leads to.  Amounts in the currency's smallest unit, times RFC 3339.

    `credit`: what is given back of what is left unused.  `waits`: whether the change waits until it is paid.
    `agreed` goes into the change itself, which is refused where the money has changed since.
    """

    applies: Literal["now", "period_end"]
    at: str | None
    plan: PlanTo
    currency: str | None
    due_now: int
    credit: int
    tax: int
    lines: tuple[LineShown, ...]
    next: NextInvoice | None
    waits: bool
    conflicts: tuple[Conflict, ...]
    agreed: Agreed


class ChangePreviews:
    """Asks Stripe what planned changes cost."""

    def __init__(self, stripe: StripeClient) -> None:
        self._stripe = stripe

    async def preview(self, planned: Planned, at: int | None = None) -> ChangePreview:
        """Ask Stripe what a change costs, as of the moment `at` in seconds (None: now)."""
        target, price = planned.target, planned.price
        renewal = await self._ask(planned, "none", None)
        due = await self._ask(planned, planned.proration, at) if planned.proration != "none" else None
        bills_now = due if due is not None and planned.bills else None
        lines = due.lines.data if due is not None else ()
        moment = due.proration_date if due is not None and not planned.moves else None
        due_now = bills_now.amount_due if bills_now else 0
        to = Item(price.price_id, interval=price.interval, interval_count=price.interval_count)
        return ChangePreview(
            applies=planned.applies,
            at=rfc3339(moment if planned.applies == "now" and moment else _when(planned)),
            plan=PlanTo(target.key, target.quantity, interval_of(to)),
            currency=planned.subscription.currency,
            due_now=due_now,
            credit=-sum(line.amount for line in lines if line.proration and line.amount < 0),
            tax=bills_now.tax if bills_now else 0,
            lines=_lines(due) if due is not None else (),
            next=_next(planned, renewal, due),
            waits=planned.waits and due_now > 0,
            conflicts=planned.conflicts,
            agreed=Agreed(due_now, rfc3339(moment)),
        )

    async def upcoming(self, holding: Holding, subscription: present.SubscriptionNow) -> ChangePreview | None:
        """Ask what the next renewal costs as things are; None when none will come."""
        renewal = await self._create({"subscription": subscription.id})
        held = main_item(holding)
        if renewal is None or held is None:
            return None
        at = rfc3339(renewal.next_payment_attempt or renewal.period_end)
        key = held.place.key if held.place else None
        return ChangePreview(
            applies="period_end",
            at=at,
            plan=PlanTo(key, held.item.quantity, interval_of(held.item)),
            currency=subscription.currency,
            due_now=0,
            credit=-sum(line.amount for line in renewal.lines.data if line.proration and line.amount < 0),
            tax=renewal.tax,
            lines=_lines(renewal),
            next=NextInvoice(at, renewal.amount_due),
            waits=False,
            conflicts=(),
            agreed=Agreed(0),
        )

    async def _ask(self, planned: Planned, proration: str, at: int | None) -> billing.Invoice | None:
        """Ask for the invoice that a change would make, or the renewal after it (`proration` none)."""
        details: dict[str, Any] = {"items": planned.items(), "proration_behavior": proration}
        if planned.moves:
            details["billing_cycle_anchor"] = {"type": "now"}
        elif at is not None:
            details["proration_date"] = at
        if planned.resumes:
            details["cancel_at_period_end"] = False
        params: dict[str, Any] = {"subscription": planned.subscription.id, "subscription_details": details}
        if planned.discounts:
            params["discounts"] = list(planned.discounts)
        return await self._create(params)

    async def _create(self, params: dict[str, Any]) -> billing.Invoice | None:
        """Ask for a preview; each time anew, since one key would answer an old preview for a day."""
        try:
            return await self._stripe.post("invoices/create_preview", billing.Invoice, params, idempotency_key=None)
        except StripeRefused as error:
            if error.reason == "invoice_upcoming_none":
                return None  # nothing will be billed, for it ends
            raise


def _lines(invoice: billing.Invoice) -> tuple[LineShown, ...]:
    return tuple(LineShown(line.description or "", line.amount, line.proration) for line in invoice.lines.data)


def _when(planned: Planned) -> int | None:
    """When a change applies: now, or at the end of the item's period."""
    return int(planned.holding.now) if planned.applies == "now" else planned.item.current_period_end


def _next(planned: Planned, renewal: billing.Invoice | None, due: billing.Invoice | None) -> NextInvoice | None:
    """The next renewal.  Where the billing date moves, it is one period after what is billed now."""
    if planned.moves and due is not None:
        whole = [line for line in due.lines.data if not line.proration]
        end = max((line.period.end for line in whole), default=None)
        return NextInvoice(rfc3339(end), sum(line.amount for line in whole))
    if renewal is None:
        return None
    if planned.applies == "period_end":
        return NextInvoice(rfc3339(planned.item.current_period_end), renewal.total)
    return NextInvoice(rfc3339(renewal.next_payment_attempt or renewal.period_end), renewal.total)


def with_preview(error: NotAccepted, preview: ChangePreview) -> NotAccepted:
    """Add a preview to a refusal."""
    error.members["preview"] = structs.asdict(preview)
    return error
