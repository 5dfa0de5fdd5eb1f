"""A user's payment methods, read through from Stripe: nothing of them is stored, and never another user's."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.errors import NotAccepted
from interlock.engine.read.cache import ShortCache
from interlock.engine.wire import billing
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded

_MOST: Final = 100


class PaymentMethodShown(Struct, frozen=True):
    """One payment method.  `brand` is the card's, or the bank's name.

    `default`: the next invoice is charged to it; the subscription's own stands above its customer's.
    `expires_before_renewal`: the card's last month is over before the next period begins.
    """

    id: str
    type: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    default: bool
    expires_before_renewal: bool


class PaymentMethods:
    """Reads the payment methods of one customer."""

    def __init__(self, stripe: StripeClient, cache: ShortCache) -> None:
        self._stripe = stripe
        self._cache = cache

    async def all(
        self, user_id: str, customer: str | None, subscription_id: str | None, renewal: int | None
    ) -> tuple[PaymentMethodShown, ...]:
        """Return a customer's payment methods, the default first.  Raises StripeRefused, StripeUnavailable.

        `subscription_id` is the living one that may have a payment method of its own, `renewal` its next date.
        """
        if customer is None:
            return ()
        listed, default = await self._cache.get(
            (user_id, "payment methods", customer, subscription_id), lambda: self.read(customer, subscription_id)
        )
        shown = (_shown(one, one.id == default, renewal) for one in listed)
        return tuple(sorted(shown, key=lambda one: not one.default))

    async def read(
        self, customer: str, subscription_id: str | None
    ) -> tuple[tuple[billing.PaymentMethod, ...], str | None]:
        """Return a customer's payment methods, and the id of the one that is charged."""
        path = f"customers/{quote(customer, safe='')}"
        try:
            answer = await self._stripe.get(f"{path}/payment_methods", limit=_MOST)
            defaults = decoded((await self._stripe.get(path)).body, billing.CustomerDefaults)
        except NoSuchObject:
            return (), None
        own: str | None = None
        if subscription_id is not None:
            answered = await self._stripe.get(f"subscriptions/{quote(subscription_id, safe='')}")
            own = decoded(answered.body, billing.SubscriptionDefault).default
        return decoded(answer.body, billing.PaymentMethodList).data, own or defaults.default

    async def one(self, method_id: str, customer: str | None) -> billing.PaymentMethod:
        """Return one payment method of a customer; raise NotAccepted (`not_found`) where it is not theirs."""
        try:
            answer = await self._stripe.get(f"payment_methods/{quote(method_id, safe='')}")
        except NoSuchObject as error:
            raise NotAccepted("not_found", "There is no such payment method.") from error
        method = decoded(answer.body, billing.PaymentMethod)
        if customer is None or method.customer_id != customer:
            raise NotAccepted("not_found", "There is no such payment method.")
        return method


def _shown(method: billing.PaymentMethod, default: bool, renewal: int | None) -> PaymentMethodShown:
    card, account = method.card, method.us_bank_account or method.sepa_debit
    return PaymentMethodShown(
        id=method.id,
        type=method.type,
        brand=card.brand if card else (account.bank_name if account else None),
        last4=card.last4 if card else (account.last4 if account else None),
        exp_month=card.exp_month if card else None,
        exp_year=card.exp_year if card else None,
        default=default,
        expires_before_renewal=bool(card and renewal and expiry(card.exp_month, card.exp_year) <= renewal),
    )


def expiry(month: int, year: int) -> int:
    """Return the first second, UTC, at which a card is no longer good: it is through the last day of its month."""
    last = calendar.monthrange(year, month)[1]
    return int(datetime(year, month, last, tzinfo=UTC).timestamp()) + 86_400
