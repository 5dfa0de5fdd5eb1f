"""Pause a subscription by Stripe's own pause: the unused time is credited, and nothing renews until it is resumed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.core.actions import Refusal, pause
from interlock.engine.errors import NotAccepted
from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.wire import billing
from interlock.engine.wire.schedules import release_ours


class PauseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be chosen."""


class Pause:
    """The verb."""

    def __init__(self, verbs: VerbRunner) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe

    async def run(self, user_id: str, body: PauseBody, key: str | None = None) -> None:
        """Pause the user's subscription.  Raises NotAccepted, StripeRefused, StripeUnavailable."""
        await self._verbs.run(user_id, "pause", body, self._run, key)

    async def _run(self, turn: Turn) -> str | None:
        refusal = pause(turn.holding)
        if refusal is Refusal.PAUSED:
            return None  # it is so already
        if refusal is not None:
            raise NotAccepted(refusal.value)
        shown = turn.holding.shown
        assert shown is not None, "the guard refuses without one"
        subscription = await self._verbs.subscription(shown.known.subscription_id)
        await release_ours(self._stripe, subscription, turn.key("release"))
        params: dict[str, Any] = {
            "type": "subscription",
            "bill_for": {"unused_time_from": {"type": "now"}, "outstanding_usage_through": {"type": "now"}},
        }
        path = f"subscriptions/{quote(subscription.id, safe='')}/pause"
        await self._stripe.post(path, billing.Reference, params, idempotency_key=turn.key("pause"))
        return subscription.id
