"""End a subscription: at the period's end, or now.

    guard → release our own schedule → set the end, or end it and void what is open → ask Stripe

A crash between any two calls leaves a subscription that goes on as it was, or one that has ended with an open
invoice that Stripe no longer tries to collect; the same call again voids that.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, Literal
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.core.actions import Refusal, allowed_ends, cancel_at
from interlock.engine.core.held import Held
from interlock.engine.core.states import State
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import NotAccepted
from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.wire import billing
from interlock.engine.wire.client import NoSuchObject, decoded
from interlock.engine.wire.schedules import release_ours

REASONS: Final = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
    "too_expensive", "unused",
)  # fmt: skip
"""Stripe's feedback words."""
MOST_COMMENT: Final = 500
_OVERDUE: Final = (State.PAST_DUE, State.UNPAID)


class CancelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """When to end, None for the policy's own; and why, in one of Stripe's words and in the user's."""

    when: Literal["period_end", "now"] | None = None
    reason: str | None = None
    comment: str | None = None


class CancelPreview(Struct, frozen=True):
    """What a cancellation would do.

    `at`: when the subscription ends; `access_until`: how long it may be used; `stops_collection`: whether what is
    open is voided; `outstanding`: what is open now, in the currency's smallest unit.  Times are RFC 3339.
    """

    at: str | None
    access_until: str | None
    stops_collection: bool
    outstanding: int
    currency: str | None


class Cancel:
    """The verb."""

    def __init__(self, verbs: VerbRunner) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe

    async def preview(self, user_id: str, body: CancelBody) -> CancelPreview:
        """Say what `cancel` would do with the same body.  Raises NotAccepted as it does."""
        holding = await self._verbs.holding(user_id)
        when = _when(body, allowed_ends(holding))
        _refuse(cancel_at(holding, when))
        shown = holding.shown
        assert shown is not None, "the guard refuses without one"
        facts = shown.known.facts
        assert facts is not None, "what is shown has facts"
        open_invoices = await self._open_invoices(facts.subscription_id)
        now = int(holding.now)
        at = now if when == "now" else facts.current_period_end
        return CancelPreview(
            at=rfc3339(at),
            access_until=rfc3339(at) if shown.access.granted else None,
            stops_collection=_stops(shown, when),
            outstanding=sum(invoice.amount_remaining for invoice in open_invoices),
            currency=next((one.currency for one in [*open_invoices, *facts.items]), None),
        )

    async def run(self, user_id: str, body: CancelBody, key: str | None = None) -> None:
        """End the user's subscription.  Raises NotAccepted, StripeRefused, StripeUnavailable."""
        if body.reason is not None and body.reason not in REASONS:
            raise NotAccepted("unknown_reason")
        if body.comment is not None and len(body.comment) > MOST_COMMENT:
            raise NotAccepted("bad_value", f"A comment has at most {MOST_COMMENT} characters.")
        await self._verbs.run(user_id, "cancel", body, lambda turn: self._run(turn, body), key)

    async def _run(self, turn: Turn, body: CancelBody) -> str | None:
        shown = turn.holding.shown
        if shown is not None and shown.known.state is State.CANCELED:
            return await self._void_open(turn, shown.known.subscription_id)  # it is so already
        when = _when(body, allowed_ends(turn.holding))
        refusal = cancel_at(turn.holding, when)
        if refusal is Refusal.ENDING:
            return None  # it is so already
        _refuse(refusal)
        assert shown is not None, "the guard refuses without one"
        subscription_id = shown.known.subscription_id
        path = f"subscriptions/{quote(subscription_id, safe='')}"
        why: dict[str, Any] = {}
        if body.reason is not None:
            why["feedback"] = body.reason
        if body.comment:
            why["comment"] = body.comment
        details: dict[str, Any] = {"cancellation_details": why} if why else {}
        if when == "now":
            await self._end(turn, path, shown, details)
            return subscription_id
        subscription = await self._verbs.subscription(subscription_id)
        await release_ours(self._stripe, subscription, turn.key("release"))
        await self._stripe.post(
            path, billing.Reference, {"cancel_at_period_end": True, **details}, idempotency_key=turn.key("cancel")
        )
        return subscription_id

    async def _end(self, turn: Turn, path: str, shown: Held, details: dict[str, Any]) -> None:
        """End now: first the subscription, which stops every further try to collect, then what is open."""
        facts = shown.known.facts
        overdue = shown.known.state in _OVERDUE
        metered = any(item.metered for item in facts.items) if facts else False
        final = {"invoice_now": True} if metered and not overdue else {}  # what was used is still billed
        with suppress(NoSuchObject):  # it ended by an earlier try whose answer was lost, or by somebody else
            await self._stripe.delete(path, {**final, **details})
        if _stops(shown, "now"):
            await self._void_open(turn, shown.known.subscription_id)

    async def _void_open(self, turn: Turn, subscription_id: str) -> str | None:
        voided = None
        for invoice in await self._open_invoices(subscription_id):
            path = f"invoices/{quote(invoice.id, safe='')}/void"
            await self._stripe.post(path, billing.Reference, {}, idempotency_key=turn.key(f"void-{invoice.id}"))
            voided = subscription_id
        return voided

    async def _open_invoices(self, subscription_id: str) -> tuple[billing.Invoice, ...]:
        answer = await self._stripe.get("invoices", subscription=subscription_id, status="open", limit=100)
        return decoded(answer.body, billing.InvoiceList).data


def _when(body: CancelBody, allowed: tuple[str, ...]) -> str:
    return body.when or allowed[0]


def _stops(shown: Held, when: str) -> bool:
    """Whether what is open is voided: where it ends now and was overdue, or was never paid at all."""
    return when == "now" and shown.known.state in (*_OVERDUE, State.INCOMPLETE)


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise NotAccepted(refusal.value)
