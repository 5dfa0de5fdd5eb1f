"""The portal: the page of Stripe's on which a user manages what they have."""

from __future__ import annotations

from typing import Any, Final

from interlock.engine.config import Config
from interlock.engine.errors import NoCustomer
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store
from interlock.engine.units import checkouts
from interlock.engine.units.checkouts import Buyer
from interlock.engine.wire.billing import PageUrl
from interlock.engine.wire.client import StripeClient

FLOWS: Final = frozenset({"payment_method_update", "subscription_cancel", "subscription_update", "subscription_pause"})
_NEEDS_SUBSCRIPTION: Final = FLOWS - {"payment_method_update"}


class Portal:
    """Makes portal sessions for users."""

    def __init__(self, store: Store, runner: Runner, stripe: StripeClient, config: Config) -> None:
        self._store = store
        self._runner = runner
        self._stripe = stripe
        self._config = config

    async def open(self, user_id: str, *, flow: str | None) -> str:
        """Return the address of the user's portal, opened at a flow where one is named.

        Raises NoCustomer, StripeRefused, StripeUnavailable.
        """
        buyer = await self._runner.run(lambda unit: checkouts.buyer(user_id, unit), about=(user_id,))
        customer_id = buyer.customer_id
        if customer_id is None or await self._store.read(lambda: checkouts.has_sharers(user_id, customer_id)):
            raise NoCustomer("there is no Stripe customer for this user yet; a checkout makes one")
        app = self._config.app_url.rstrip("/")
        params: dict[str, Any] = {"customer": customer_id, "return_url": f"{app}/?portal=return"}
        if flow is not None:
            params["flow_data"] = {"type": flow, **_flow_target(flow, buyer)}
        return (await self._stripe.post("billing_portal/sessions", PageUrl, params, idempotency_key=None)).url


def _flow_target(flow: str, buyer: Buyer) -> dict[str, Any]:
    if flow not in _NEEDS_SUBSCRIPTION:
        return {}
    shown = buyer.holding.shown
    if shown is None or not shown.lives:
        raise NoCustomer("there is no living subscription for this")
    return {flow: {"subscription": shown.known.subscription_id}}
