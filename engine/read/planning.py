"""How a wish for a change is read: by the catalogue, and by what Stripe says of the price and the subscription."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from interlock.engine.core.actions import Refusal, change_plan
from interlock.engine.core.changes import (
    Direction,
    PriceFacts,
    Target,
    Unfit,
    Wish,
    applies,
    direction,
    is_same,
    main_item,
    target_of,
)
from interlock.engine.core.holding import Holding
from interlock.engine.core.plans import Plan
from interlock.engine.core.states import Item, State
from interlock.engine.errors import NotAccepted, UnknownPlan
from interlock.engine.read.offers import Offers, facts_of_price
from interlock.engine.read.payment_methods import PaymentMethods
from interlock.engine.wire import present

_ABLE_TO_WAIT: Final = frozenset({"card", "link", "amazon_pay", "cashapp", "paypal", "revolut_pay"})
"""Payment methods for which Stripe can hold a change until it is paid (pending updates); debits can't."""


class Conflict(Struct, frozen=True):
    """What is used of a feature would not fit into the new plan."""

    feature: str
    limit: int
    used: int


Conflicts: TypeAlias = Callable[[Holding, Plan, int], Awaitable[tuple[Conflict, ...]]]
"""Says what would not fit into a plan, taken in a quantity."""


class Planned(Struct, frozen=True, kw_only=True):
    """A change, ready to be previewed or made.

    `moves`: the billing date moves with it.  `bills`: it is invoiced at once.  `waits`: Stripe holds it until paid.
    """

    holding: Holding
    subscription: present.SubscriptionNow
    item: present.SubscriptionItem
    held: Item
    target: Target
    price: PriceFacts
    applies: Literal["now", "period_end"]
    moves: bool
    bills: bool
    waits: bool
    in_trial: bool
    resumes: bool
    discounts: tuple[dict[str, str], ...]
    conflicts: tuple[Conflict, ...]

    def items(self) -> list[dict[str, Any]]:
        """The item as Stripe is to have it.  Price and quantity always go together: alone a price sets it to 1."""
        one: dict[str, Any] = {"id": self.item.id, "price": self.price.price_id}
        if not self.price.metered:
            one["quantity"] = self.target.quantity
        return [one]

    @property
    def proration(self) -> str:
        """Stripe's word for how the rest of the period is settled."""
        if self.in_trial or self.applies == "period_end":
            return "none"
        return "always_invoice" if self.bills else "create_prorations"


class Planner:
    """Reads wishes."""

    def __init__(self, offers: Offers, methods: PaymentMethods, conflicts: Conflicts | None = None) -> None:
        self._offers = offers
        self._methods = methods
        self._conflicts = conflicts

    async def plan(self, holding: Holding, subscription: present.SubscriptionNow, wish: Wish) -> Planned:
        """Read a wish by the catalogue and by Stripe.

        Raises NotAccepted, UnknownPlan, UnknownPromotionCode, StripeRefused, StripeUnavailable; `same_plan` where the
        subscription is so already.
        """
        refusal = change_plan(holding)
        if refusal is not None and not (refusal is Refusal.ENDING and wish.resume):
            raise NotAccepted(refusal.value, **_way_on(refusal, holding))
        target = target_of(holding, wish)
        if isinstance(target, Unfit):
            raise UnknownPlan() if target is Unfit.UNKNOWN_PLAN else NotAccepted(target.value)
        held = main_item(holding)
        assert held is not None, "a wish that fits has an item"
        item = subscription.item(held.item.price_id)
        if item is None:
            raise NotAccepted("busy", "The subscription was changed at this moment; try again.", retry_after=1)
        now = facts_of_price(item.price)
        price = now if target.offer is None else await self._offers.price(target.offer)
        if price.currency is not None and price.currency != subscription.currency:
            raise NotAccepted(Unfit.OTHER_CURRENCY.value)
        discounts = await self._discounts(subscription, wish)
        if is_same(held.item, target, price.price_id) and not discounts and not wish.resume:
            raise NotAccepted(Unfit.SAME_PLAN.value)
        return await self._planned(holding, subscription, wish, item, held.item, target, now, price, discounts)

    async def _planned(
        self,
        holding: Holding,
        subscription: present.SubscriptionNow,
        wish: Wish,
        item: present.SubscriptionItem,
        held: Item,
        target: Target,
        before: PriceFacts,
        price: PriceFacts,
        discounts: tuple[dict[str, str], ...],
    ) -> Planned:
        way = direction(
            before, item.quantity or 1, price, target.quantity, rank_rises=_rank(holding, target) - _rank_now(holding)
        )
        can_wait = await self._can_wait(subscription)
        when = applies(holding, way, wish.when, can_wait=can_wait)
        if isinstance(when, Unfit):
            raise NotAccepted(when.value)
        seats_alone = before.price_id == price.price_id
        policy = holding.catalogue.changes
        in_trial = subscription.status == State.TRIALING
        bills = when == "now" and not in_trial and (policy.seats_bill if seats_alone else policy.bill) == "now"
        moves = (before.interval, before.interval_count) != (price.interval, price.interval_count)
        conflicts: tuple[Conflict, ...] = ()
        if self._conflicts is not None and way is not Direction.UP:
            conflicts = await self._conflicts(holding, target.plan, target.quantity)
        return Planned(
            holding=holding,
            subscription=subscription,
            item=item,
            held=held,
            target=target,
            price=price,
            applies=when,
            moves=moves and when == "now" and not in_trial,
            bills=bills or (moves and when == "now" and not in_trial),
            waits=can_wait and bills,
            in_trial=in_trial,
            resumes=wish.resume and subscription.cancel_at is not None,
            discounts=discounts,
            conflicts=conflicts,
        )

    async def _discounts(self, subscription: present.SubscriptionNow, wish: Wish) -> tuple[dict[str, str], ...]:
        """The discounts to send: those that it has by their ids, so that none begins anew, and the new one."""
        if wish.promotion_code is None:
            return ()
        promotion = await self._offers.promotion_code(wish.promotion_code)
        return (*({"discount": one} for one in subscription.discount_ids), {"promotion_code": promotion})

    async def _can_wait(self, subscription: present.SubscriptionNow) -> bool:
        if subscription.collection_method != "charge_automatically":
            return False
        own = subscription.default_payment_method
        if own is not None and not isinstance(own, str):
            return own.type in _ABLE_TO_WAIT
        methods, default = await self._methods.read(subscription.customer_id, None)
        return all(one.type in _ABLE_TO_WAIT for one in methods if one.id == default)


def _way_on(refusal: Refusal, holding: Holding) -> dict[str, Any]:
    """What helps on beside the words: the page of the open invoice."""
    shown = holding.shown
    url = shown.known.billing.open_url if shown else None
    return {"url": url} if url and refusal in (Refusal.PAST_DUE, Refusal.CHANGE_PENDING) else {}


def _rank(holding: Holding, target: Target) -> int:
    place = holding.catalogue.place_of(target.key)
    return place.rank if place else 0


def _rank_now(holding: Holding) -> int:
    held = main_item(holding)
    return held.place.rank if held and held.place else 0
