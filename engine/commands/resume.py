"""Go on: undo a planned end, resume what is paused, collect again.

guard → something to charge? → release our own schedule → Stripe's call for what is so → ask Stripe
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.core.actions import Refusal, resume
from interlock.engine.core.states import State
from interlock.engine.errors import CardDeclined, NotAccepted
from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.read.payment_methods import PaymentMethods
from interlock.engine.wire import billing, present
from interlock.engine.wire.schedules import release_ours


class ResumeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be chosen."""


class Resume:
    """The verb."""

    def __init__(self, verbs: VerbRunner, methods: PaymentMethods) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe
        self._methods = methods

    async def run(self, user_id: str, body: ResumeBody, key: str | None = None) -> None:
        """Let the user's subscription go on.  Raises NotAccepted, StripeRefused, StripeUnavailable."""
        await self._verbs.run(user_id, "resume", body, self._run, key)

    async def _run(self, turn: Turn) -> str | None:
        refusal = resume(turn.holding)
        if refusal is Refusal.NOTHING_TO_RESUME:
            return None  # it is so already
        if refusal is not None:
            raise NotAccepted(refusal.value)
        shown = turn.holding.shown
        assert shown is not None, "the guard refuses without one"
        subscription_id = shown.known.subscription_id
        path = f"subscriptions/{quote(subscription_id, safe='')}"
        subscription = await self._verbs.subscription(subscription_id)
        await self._require_payment_method(turn, subscription)
        await release_ours(self._stripe, subscription, turn.key("release"))
        for step, params in _updates(subscription):
            await self._stripe.post(path, billing.Reference, params, idempotency_key=turn.key(step))
        if subscription.status == State.PAUSED:
            await self._resume_paused(turn, path)
        return subscription_id

    async def _require_payment_method(self, turn: Turn, subscription: present.SubscriptionNow) -> None:
        """Refuse to go on where nothing could be charged: the next invoice would fail."""
        if subscription.collection_method != "charge_automatically":
            return
        _, default = await self._methods.read(subscription.customer_id, subscription.id)
        if default is None:
            raise NotAccepted("payment_method_required", flow="payment_method_update")

    async def _resume_paused(self, turn: Turn, path: str) -> None:
        """Resume Stripe's own pause.  A payment that fails leaves it paused, and not overdue with no further try."""
        params: dict[str, Any] = {"payment_behavior": "resume_on_payment_success"}
        try:
            await self._stripe.post(f"{path}/resume", billing.Reference, params, idempotency_key=turn.key("resume"))
        except CardDeclined as error:
            raise NotAccepted("payment_method_required", flow="payment_method_update") from error


def _updates(subscription: present.SubscriptionNow) -> list[tuple[str, dict[str, Any]]]:
    """The updates that undo what stops it.  Of Stripe's two fields for an end only the one that holds it is sent."""
    updates: list[tuple[str, dict[str, Any]]] = []
    if subscription.cancel_at_period_end:
        updates.append(("keep", {"cancel_at_period_end": False}))
    elif subscription.cancel_at is not None:
        updates.append(("keep", {"cancel_at": ""}))
    if subscription.pause_collection is not None:
        updates.append(("collect", {"pause_collection": ""}))
    return updates
