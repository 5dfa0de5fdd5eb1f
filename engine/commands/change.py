"""Change plan, interval or quantity; or undo a change that waits.

    guard → plan the change → is the money still what was agreed? → release our own schedule →
      now:           one update of Stripe's, held until it is paid where Stripe can hold it
      period's end:  a schedule of ours: copy the subscription, then say the second phase
    → ask Stripe

A crash between the two calls of a schedule leaves Stripe's copy of the subscription, which changes nothing; the next
verb releases it.  An update and its invoice are one call of Stripe's.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.core.actions import Refusal, undo_change
from interlock.engine.core.changes import Unfit, Wish
from interlock.engine.errors import CardDeclined, NotAccepted, StripeRefused
from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.read.changes import Agreed, ChangePreview, ChangePreviews, with_preview
from interlock.engine.read.planning import Planned, Planner
from interlock.engine.wire import billing
from interlock.engine.wire.schedules import change_at_period_end, release_ours

AGREED_SECONDS: Final = 900
"""How long what was previewed may be agreed to."""


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be; what is left out stays as it is.  `agreed` is the preview's, to hold the money to it."""

    plan: str | None = None
    interval: str | None = None
    quantity: int | None = None
    promotion_code: str | None = None
    resume: bool = False
    when: Literal["auto", "now", "period_end"] = "auto"
    agreed: Agreed | None = None

    @property
    def wish(self) -> Wish:
        """The same without what was agreed."""
        return Wish(
            plan=self.plan,
            interval=self.interval,
            quantity=self.quantity,
            promotion_code=self.promotion_code,
            resume=self.resume,
            when=self.when,
        )


class UndoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be chosen."""


class Change:
    """The verbs."""

    def __init__(self, verbs: VerbRunner, planner: Planner, previews: ChangePreviews) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe
        self._planner = planner
        self._previews = previews

    async def preview(self, user_id: str, body: ChangeBody) -> ChangePreview:
        """Say what `run` would lead to with the same body.  Raises as it does; `same_plan` where it is so already."""
        holding = await self._verbs.holding(user_id)
        if holding.shown is None or not holding.shown.lives:
            raise NotAccepted(Refusal.NO_SUBSCRIPTION.value)
        subscription = await self._verbs.subscription(holding.shown.known.subscription_id)
        return await self._previews.preview(await self._planner.plan(holding, subscription, body.wish))

    async def run(self, user_id: str, body: ChangeBody, key: str | None = None) -> None:
        """Change the user's subscription.  Raises NotAccepted, UnknownPlan, UnknownPromotionCode, Stripe's errors.

        A change that is not paid waits: the plan stays as it was, and `pending_change` shows where to pay.
        """
        await self._verbs.run(user_id, "change", body, lambda turn: self._run(turn, body), key)

    async def undo(self, user_id: str, body: UndoBody, key: str | None = None) -> None:
        """Undo what waits: a change for the period's end, or one for its payment.  Raises NotAccepted."""
        await self._verbs.run(user_id, "undo_change", body, self._undo, key)

    async def _run(self, turn: Turn, body: ChangeBody) -> str | None:
        shown = turn.holding.shown
        if shown is None or not shown.lives:
            raise NotAccepted(Refusal.NO_SUBSCRIPTION.value)
        subscription = await self._verbs.subscription(shown.known.subscription_id)
        try:
            planned = await self._planner.plan(turn.holding, subscription, body.wish)
        except NotAccepted as error:
            if error.code != Unfit.SAME_PLAN.value:
                raise
            return None  # it is so already
        if planned.conflicts and turn.holding.catalogue.changes.over_limit == "refuse":
            raise NotAccepted("over_limit", conflicts=list(planned.conflicts))
        at = await self._hold_to(planned, body.agreed)
        await release_ours(self._stripe, subscription, turn.key("release"))
        if planned.applies == "period_end":
            await self._at_period_end(turn, planned)
        else:
            await self._now(turn, planned, at)
        return subscription.id

    async def _hold_to(self, planned: Planned, agreed: Agreed | None) -> int | None:
        """Hold the money to what was agreed; returns the moment to change with, None for Stripe's own."""
        if agreed is None:
            return None
        at = _seconds(agreed.at)
        item, now = planned.item, planned.holding.now
        stale = at is not None and not (max(now - AGREED_SECONDS, item.current_period_start) <= at <= now + 60)
        preview = await self._previews.preview(planned, None if stale else at)
        if stale or preview.due_now != agreed.due_now:
            raise with_preview(NotAccepted("price_changed"), preview)
        return at

    async def _now(self, turn: Turn, planned: Planned, at: int | None) -> None:
        params: dict[str, Any] = {"items": planned.items(), "proration_behavior": planned.proration}
        if planned.moves:
            params["billing_cycle_anchor"] = {"type": "now"}
        elif at is not None and planned.proration != "none":
            params["proration_date"] = at
        if planned.waits:
            params["payment_behavior"] = "pending_if_incomplete"
        if planned.discounts:
            params["discounts"] = list(planned.discounts)
        if planned.resumes:
            params["cancel_at_period_end"] = False
        path = f"subscriptions/{quote(planned.subscription.id, safe='')}"
        try:
            await self._stripe.post(path, billing.Reference, params, idempotency_key=turn.key("change"))
        except CardDeclined as error:
            raise NotAccepted("payment_method_required", decline_code=error.decline_code) from error

    async def _at_period_end(self, turn: Turn, planned: Planned) -> None:
        if planned.resumes:
            path = f"subscriptions/{quote(planned.subscription.id, safe='')}"
            keep: dict[str, Any] = {"cancel_at_period_end": False}
            if not planned.subscription.cancel_at_period_end:
                keep = {"cancel_at": ""}
            await self._stripe.post(path, billing.Reference, keep, idempotency_key=turn.key("keep"))
        await change_at_period_end(
            self._stripe,
            planned.subscription.id,
            {planned.item.price.id: planned.items()[0]},
            planned.discounts,
            turn.key("schedule"),
        )

    async def _undo(self, turn: Turn) -> str | None:
        refusal = undo_change(turn.holding)
        if refusal is Refusal.NOTHING_TO_UNDO:
            return None  # it is so already
        if refusal is not None:
            raise NotAccepted(refusal.value)
        shown = turn.holding.shown
        assert shown is not None, "the guard refuses without one"
        subscription = await self._verbs.subscription(shown.known.subscription_id)
        await release_ours(self._stripe, subscription, turn.key("release"))
        invoice = subscription.open_invoice
        if subscription.pending_update is not None and invoice is not None:
            path = f"invoices/{quote(invoice.id, safe='')}/void"  # Stripe then drops what waited for its payment
            with suppress(StripeRefused):  # paid at this moment: the change is made, and Stripe's answer will say so
                await self._stripe.post(path, billing.Reference, {}, idempotency_key=turn.key("void"))
        return subscription.id


def _seconds(at: str | None) -> int | None:
    """Read a time of RFC 3339; raise NotAccepted (`bad_value`) where it is none."""
    if at is None:
        return None
    try:
        return int(datetime.fromisoformat(at).timestamp())
    except ValueError:
        raise NotAccepted("bad_value", "agreed.at is no time of RFC 3339.") from None
