"""What the plans cost: Stripe's prices, asked for at start and now and then, for the plans that are shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from interlock.engine.core.catalogue import Catalogue, Offer, is_price_id
from interlock.engine.core.plans import Plan
from interlock.engine.errors import InterlockError, StripeRefused
from interlock.engine.wire import objects as wire
from interlock.engine.wire.client import StripeClient, decoded

Remember: TypeAlias = Callable[[dict[str, str]], Awaitable[None]]
"""Keeps price ids, each with its plan's key."""

log = logging.getLogger("interlock.prices")

_AGAIN_SECONDS: Final = 15
_EVERY_SECONDS: Final = 3600


class PlanShown(Struct, frozen=True):
    """One plan of the catalogue; the price's facts are there once Stripe was asked.  `amount` in minor units."""

    key: str
    name: str
    features: tuple[str, ...]
    price_id: str | None
    trial_days: int
    amount: int | UnsetType | None = UNSET
    currency: str | UnsetType = UNSET
    interval: str | UnsetType | None = UNSET


class _Recurring(Struct):
    interval: str


class _Price(Struct):
    id: str
    currency: str
    unit_amount: int | None = None
    recurring: _Recurring | None = None


class _Listed(Struct):
    data: list[wire.Ref]


async def price_id(stripe: StripeClient, plan: Plan) -> str:
    """Return the Stripe price of a plan, the first of several; looked up where the plan names a lookup key."""
    if plan.price is not None:
        return plan.price
    name = plan.lookup_key or next(iter(plan.prices.values()), "")
    if plan.lookup_key is None and is_price_id(name):
        return name
    answer = await stripe.get("prices", lookup_keys=[name], active=True, limit=1)
    found = decoded(answer.body, _Listed).data
    if not found:
        raise StripeRefused(f"Stripe has no active price with the lookup key {name!r}")
    return found[0].id


class Prices:
    """The prices of the plans, as far as they are known."""

    def __init__(self, stripe: StripeClient, catalogue: Catalogue, remember: Remember) -> None:
        self._stripe = stripe
        self._catalogue = catalogue
        self._remember = remember
        self._prices: dict[str, _Price] = {}

    def plans(self) -> list[PlanShown]:
        """Return the plan catalogue, with prices once Stripe has answered."""
        return [self._plan_shown(key, plan) for key, plan in self._catalogue.plans.items()]

    def _plan_shown(self, key: str, plan: Plan) -> PlanShown:
        price = self._prices.get(key)
        if price is None:
            return PlanShown(key, plan.name, plan.features, plan.price, plan.trial_days)
        interval = price.recurring.interval if price.recurring else None
        return PlanShown(
            key, plan.name, plan.features, price.id, plan.trial_days, price.unit_amount, price.currency, interval
        )

    async def learn(self) -> None:
        """Ask what the plans cost, for ever: soon again while Stripe can't be reached, else once an hour."""
        while True:
            known = [await self._learn(key, self._catalogue.plans[key]) for key in self._catalogue.offers]
            known += [await self._follow(offer) for offers in self._catalogue.offers.values() for offer in offers]
            await asyncio.sleep(_EVERY_SECONDS if all(known) else _AGAIN_SECONDS)

    async def _follow(self, offer: Offer) -> bool:
        """Remember which price a lookup key leads to now: whoever pays it keeps the plan when the key moves on."""
        if not offer.by_lookup_key:
            return True
        try:
            answer = await self._stripe.get("prices", lookup_keys=[offer.price], active=True, limit=1)
            await self._remember({price.id: offer.plan_key for price in decoded(answer.body, _Listed).data})
        except InterlockError as error:
            log.warning("the price of the lookup key %r is not known yet: %s", offer.price, error)
            return False
        return True

    async def _learn(self, key: str, plan: Plan) -> bool:
        try:
            answer = await self._stripe.get(f"prices/{await price_id(self._stripe, plan)}")
            self._prices[key] = decoded(answer.body, _Price)
        except InterlockError as error:
            log.warning("the price of the plan %r is not known yet: %s", key, error)
            return False
        return True
