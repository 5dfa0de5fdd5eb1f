"""What Stripe says of the prices and promotion codes that are offered; asked once in a while and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from interlock.engine.core.catalogue import Offer
from interlock.engine.core.changes import PriceFacts
from interlock.engine.errors import NotAccepted, StripeRefused, UnknownPromotionCode
from interlock.engine.wire import present
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded

KEPT_SECONDS: Final = 300.0
"""Prices never change their amount, only whether they are active and where a lookup key leads."""


class Offers:
    """Finds prices and promotion codes."""

    def __init__(self, stripe: StripeClient, clock: Callable[[], float]) -> None:
        self._stripe = stripe
        self._clock = clock
        self._kept: dict[Offer, tuple[float, PriceFacts]] = {}

    async def price(self, offer: Offer) -> PriceFacts:
        """Return the facts of the price that an offer leads to now.

        Raises NotAccepted (`not_sold`) where Stripe has it no more, or not as an active one.
        """
        kept = self._kept.get(offer)
        if kept is not None and self._clock() - kept[0] < KEPT_SECONDS:
            return kept[1]
        found = await self._look_up(offer.price) if offer.by_lookup_key else await self._read(offer.price)
        if found is None or not found.active:
            raise NotAccepted("not_sold", "Stripe has no active price for this plan.")
        facts = facts_of_price(found)
        self._kept[offer] = self._clock(), facts
        return facts

    async def promotion_code(self, code: str) -> str:
        """Return the id of an active promotion code: what a customer types, or its id (`promo_…`).

        Raises UnknownPromotionCode.
        """
        if code.startswith("promo_"):
            if not code.replace("_", "").isalnum() or not code.isascii():
                raise UnknownPromotionCode("There is no such promotion code.")  # nothing else gets into a path
            try:
                answer = await self._stripe.get(f"promotion_codes/{code}")
            except StripeRefused as error:
                raise UnknownPromotionCode("There is no such promotion code.") from error
            promotion = decoded(answer.body, present.PromotionCode)
            if not promotion.active:
                raise UnknownPromotionCode("This promotion code is no longer active.")
            return promotion.id
        answer = await self._stripe.get("promotion_codes", code=code, active=True, limit=1)
        found = decoded(answer.body, present.PromotionCodes).data
        if not found:
            raise UnknownPromotionCode("There is no such promotion code.")
        return found[0].id

    async def _read(self, price_id: str) -> present.Price | None:
        try:
            return decoded((await self._stripe.get(f"prices/{quote(price_id, safe='')}")).body, present.Price)
        except NoSuchObject:
            return None

    async def _look_up(self, lookup_key: str) -> present.Price | None:
        answer = await self._stripe.get("prices", lookup_keys=[lookup_key], active=True, limit=1)
        return next(iter(decoded(answer.body, present.PriceList).data), None)


def facts_of_price(price: present.Price) -> PriceFacts:
    """Read a price of Stripe's."""
    recurring = price.recurring or present.RECURRING
    return PriceFacts(
        price_id=price.id,
        currency=price.currency,
        unit_amount=price.unit_amount,
        interval=recurring.interval,
        interval_count=recurring.interval_count,
        metered=recurring.usage_type == "metered",
    )
