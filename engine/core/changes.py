"""A change of plan, interval or quantity: what it leads to, in which direction, and when it applies.

Pure.  Amounts only give the direction; what a change costs is asked of Stripe and never computed here.

Direction comes from the catalogue's prices: amount × quantity, for a month.  Where an amount is not known (tiers,
a fraction of a cent), the order of the plans in the file decides.  What is dearer applies as `[changes] upgrade`
says, what is cheaper as `[changes] downgrade` says; in a trial nothing was paid, so every change applies at once.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import msgspec

from interlock.engine.core.catalogue import Offer
from interlock.engine.core.held import HeldItem
from interlock.engine.core.holding import Holding
from interlock.engine.core.plans import Plan
from interlock.engine.core.states import Item, State
from interlock.engine.core.view import interval_of

When: TypeAlias = Literal["auto", "now", "period_end"]

_MONTHS: Final = {
    "day": Fraction(12, 365),
    "week": Fraction(12 * 7, 365),
    "month": Fraction(1),
    "year": Fraction(12),
}


class Unfit(StrEnum):
    """What is wrong with a wish itself; the `code` of a 422 (409 for `not_sold`, 403 for `not_offered`)."""

    UNKNOWN_PLAN = "unknown_plan"
    NOT_SOLD = "not_sold"
    UNKNOWN_INTERVAL = "unknown_interval"
    QUANTITY = "quantity"
    SAME_PLAN = "same_plan"
    OTHER_CURRENCY = "other_currency"
    NOT_OFFERED = "not_offered"
    ENDING = "ending"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for.  What is None stays as it is."""

    plan: str | None = None
    interval: str | None = None
    quantity: int | None = None
    promotion_code: str | None = None
    resume: bool = False
    when: When = "auto"


class PriceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe says of a price.  `unit_amount` in the currency's smallest unit, None for tiers and fractions."""

    price_id: str
    currency: str | None = None
    unit_amount: int | None = None
    interval: str | None = None
    interval_count: int = 1
    metered: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the subscription is to be: an offer of the catalogue, or the price that it has (`offer` None)."""

    key: str
    plan: Plan
    offer: Offer | None
    quantity: int


class Direction(StrEnum):
    """Whether a change makes a month dearer."""

    UP = "up"
    DOWN = "down"
    SAME = "same"


def target_of(holding: Holding, wish: Wish) -> Target | Unfit:
    """Read a wish by the catalogue, for the shown subscription.

    Without a plan the present one is meant, retired or not.  Without an interval the present one is, where the plan
    has it, else the plan's only one.  Without a quantity the present one stays, where the plan takes it.
    """
    held = main_item(holding)
    if held is None or held.place is None:
        return Unfit.UNKNOWN_PLAN
    key = wish.plan or held.place.key
    plan = holding.catalogue.plans.get(key or "")
    if key is None or plan is None or (plan.addon and key != held.place.key):
        return Unfit.UNKNOWN_PLAN
    stays = key == held.place.key
    if not plan.sold and not stays:
        return Unfit.NOT_SOLD
    offer = _offer(holding, held.item, key, wish.interval, stays=stays)
    if isinstance(offer, Unfit):
        return offer
    quantity = _quantity(plan, held.item.quantity, wish.quantity)
    return quantity if isinstance(quantity, Unfit) else Target(key=key, plan=plan, offer=offer, quantity=quantity)


def main_item(holding: Holding) -> HeldItem | None:
    """The item that a change is about: the shown subscription's main one, else its add-on."""
    return holding.shown.best if holding.shown else None


def _offer(holding: Holding, held: Item, key: str, interval: str | None, *, stays: bool) -> Offer | Unfit | None:
    """Choose one of a plan's prices; None: the price that the subscription has."""
    offers = holding.catalogue.offers.get(key, ())
    present = interval_of(held)
    wanted = interval or present
    fitting = [one for one in offers if wanted in _intervals(one, holding)]
    if stays and interval in (None, present):
        return None  # an old price is kept while only the quantity changes
    if fitting:
        return fitting[0]
    if interval is None and len(offers) == 1:
        return offers[0]
    return Unfit.UNKNOWN_INTERVAL if interval is not None or offers else Unfit.NOT_SOLD


def _intervals(offer: Offer, holding: Holding) -> tuple[str | None, ...]:
    """The names by which an offer may be chosen: its own in the file, else the plan's one interval."""
    plan = holding.catalogue.plans[offer.plan_key]
    return (offer.interval,) if offer.interval is not None else (plan.interval,)


def _quantity(plan: Plan, held: int, wanted: int | None) -> int | Unfit:
    bounds = plan.quantities
    if wanted is None:
        if bounds.min == bounds.max:
            return bounds.min
        wanted = held
    return wanted if bounds.min <= wanted <= bounds.max else Unfit.QUANTITY


def monthly(price: PriceFacts, quantity: int) -> Fraction | None:
    """What a price costs in a month, in the smallest unit; None where it is not known."""
    if price.unit_amount is None or price.interval not in _MONTHS:
        return None
    return Fraction(price.unit_amount * quantity) / (_MONTHS[price.interval] * price.interval_count)


def direction(held: PriceFacts, held_quantity: int, to: PriceFacts, quantity: int, *, rank_rises: int) -> Direction:
    """Say whether a change makes a month dearer.  `rank_rises`: the new plan's place in the file less the old one's."""
    if held.price_id == to.price_id:
        difference: Fraction | int = quantity - held_quantity
    else:
        before, after = monthly(held, held_quantity), monthly(to, quantity)
        known = before is not None and after is not None and not (held.metered or to.metered)
        difference = after - before if known and after is not None and before is not None else rank_rises
        difference = difference or rank_rises
    if difference > 0:
        return Direction.UP
    return Direction.DOWN if difference < 0 else Direction.SAME


def applies(holding: Holding, way: Direction, when: When, *, can_wait: bool) -> Literal["now", "period_end"] | Unfit:
    """Say when a change takes effect; `not_offered` where the policy does not let the caller choose that.

    `can_wait`: whether Stripe can hold the change until it is paid; it can't for bank debits and sent invoices.
    """
    if holding.shown is not None and holding.shown.known.state is State.TRIALING:
        return "now"
    policy = holding.catalogue.changes
    if way is Direction.DOWN:
        if policy.downgrade == "any":
            return "now" if when == "now" else "period_end"
        if when == "now" and policy.downgrade == "period_end":
            return Unfit.NOT_OFFERED
        return "period_end" if when == "period_end" else policy.downgrade
    if when == "now" and policy.upgrade == "period_end":
        return Unfit.NOT_OFFERED
    chosen = "period_end" if when == "period_end" else policy.upgrade
    if chosen == "now" and way is Direction.UP and not can_wait:
        return policy.unable_to_wait
    return chosen


def is_same(held: Item, target: Target, price_id: str) -> bool:
    """Whether the subscription is so already."""
    return held.price_id == price_id and held.quantity == target.quantity
