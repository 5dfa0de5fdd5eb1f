"""What a user holds: all of their subscriptions and items, add-ons and grants, read with the catalogue.

State is what Stripe says of one subscription.  Access is policy over one subscription and the clock.  Holding is
over everything a user has: which subscription is shown, which plan and add-ons, which features, whether a
checkout may begin, which customer the portal opens, whether the trial is used.  It is pure, and the only place
that answers these questions.

A subscription is *ours* when the catalogue sells, or ever sold, the price of one of its items.  Any other gives,
hides, blocks and uses up nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from interlock.engine.core.access import Access, Reason
from interlock.engine.core.catalogue import NO_MEMORY, Catalogue, Memory, Place
from interlock.engine.core.held import Held, held_of, rank_of
from interlock.engine.core.lazy import lazy
from interlock.engine.core.states import Item, State, Subscription

_FOR_EVER: Final = float("inf")


class Grant(msgspec.Struct, frozen=True):
    """Access to a plan beside billing, given by an operator; until `until` in seconds, None for ever."""

    plan: str
    until: int | None = None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What the store has of one user.

    `memory` must have every price of their items that the catalogue once named (`Catalogue.plan_key`).
    `customer_id` is the customer that their checkout made or an operator linked; `barred` are customers whose
    portal they may not open: gone, or shared with another user.  `trial_used`: a trial was noted before.
    `checkout_until`: when their open checkout session expires, None where none is open.
    """

    user_id: str
    subscriptions: list[Subscription]
    memory: Memory = NO_MEMORY
    customer_id: str | None = None
    barred: frozenset[str] = frozenset()
    grant: Grant | None = None
    trial_used: bool = False
    checkout_until: int | None = None


class SourceKind(StrEnum):
    """What gives a feature."""

    PLAN = "plan"
    ADDON = "addon"
    GRANT = "grant"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that gives access now: an item of a subscription, or a grant.

    `quantity` is the item's, 1 for a grant.  `until`: when it ends by the clock alone, else None.
    """

    kind: SourceKind
    place: Place
    quantity: int = 1
    until: int | None = None
    item: Item | None = None
    subscription: Subscription | None = None


class Holding(msgspec.Struct, frozen=True, dict=True):
    """What one user holds at `now`.  Made by `hold`."""

    holder: Holder
    catalogue: Catalogue
    now: float
    held: tuple[Held, ...]
    """Every subscription of the user whose facts are known or that lives, ours or not."""

    @lazy
    def ours(self) -> tuple[Held, ...]:
        """The subscriptions that count."""
        return tuple(one for one in self.held if one.is_ours)

    @lazy
    def shown(self) -> Held | None:
        """The subscription whose state is shown.

        Of those that give access: the latest plan in the file, then the longest access, then the newest.  Where
        none gives access: a living one before an ended one, then the newest.
        """
        known = [one for one in self.ours if one.known.facts is not None]
        return max(known, key=_shown_first, default=None)

    @lazy
    def acting(self) -> Held | None:
        """The subscription that a verb acts on: the one that is shown, while it lives."""
        return self.shown if self.shown is not None and self.shown.lives else None

    @lazy
    def grant(self) -> Grant | None:
        """The grant, while it runs and the file has its plan."""
        grant = self.holder.grant
        if grant is None or (grant.until is not None and grant.until <= self.now):
            return None
        return grant if self.catalogue.place_of(grant.plan) else None

    @lazy
    def access(self) -> Access:
        """Whether anything gives access: the shown subscription's answer, else the grant's."""
        answer = self.shown.access if self.shown else Access(False, Reason.NONE)
        if answer.granted or self.grant is None:
            return answer
        return Access(True, Reason.GRANT, self.grant.until)

    @lazy
    def sources(self) -> tuple[Source, ...]:
        """Everything that gives something now, the least plan first: features, limits and allowances come of it."""
        found = [source for one in self.ours if one.access.granted for source in _sources(one)]
        place = self.catalogue.place_of(self.grant.plan) if self.grant else None
        if self.grant is not None and place is not None:
            found.append(Source(kind=SourceKind.GRANT, place=place, until=self.grant.until))
        return tuple(sorted(found, key=lambda source: source.place.rank))

    @lazy
    def plan(self) -> Source | None:
        """The user's plan now: of all that gives access the one that is latest in the file; an add-on if need be.

        The shown subscription's item, unless a grant's plan stands above it.  None without access.
        """
        grants = [source for source in self.sources if source.kind is SourceKind.GRANT]
        shown = self.shown
        items = [source for source in self.sources if shown is not None and source.subscription is shown.known]
        best = shown.best if shown else None
        mine = [source for source in items if best is not None and source.item is best.item]
        return max([*mine, *grants], key=lambda source: source.place.rank, default=None)

    @lazy
    def addons(self) -> tuple[Source, ...]:
        """The add-ons that give access now, in the file's order; not the one that stands for the plan."""
        plan = self.plan
        return tuple(source for source in self.sources if source.place.is_addon and source is not plan)

    @lazy
    def features(self) -> tuple[str, ...]:
        """What may be used now: the union of all that gives access, else `[free]`'s; in the file's order."""
        plans = [source.place.plan for source in self.sources]
        named = [feature for plan in plans if plan is not None for feature in plan.features]
        return tuple(dict.fromkeys(named if self.access.granted else self.catalogue.free.features))

    @lazy
    def trial_used(self) -> bool:
        """Whether the one trial of a user is used up."""
        trials = (one.known.facts.trial_end for one in self.ours if one.known.facts)
        return self.holder.trial_used or any(trial is not None for trial in trials)

    @lazy
    def finishable(self) -> bool:
        """Whether a checkout is open that may be finished."""
        until = self.holder.checkout_until
        return until is not None and self.now < until

    @lazy
    def customers(self) -> tuple[str, ...]:
        """The customers whose portal may be this user's, the best first: the shown subscription's, then others'.

        Which of them are gone, or shared with another user, only the store knows: `Holder.barred`.
        """
        order = sorted(self.ours, key=_shown_first, reverse=True)
        found = [one.customer_id for one in order] + [self.holder.customer_id]
        return tuple(dict.fromkeys(customer for customer in found if customer is not None))

    @lazy
    def portal_customer(self) -> str | None:
        """The customer whose portal this user opens."""
        return next((one for one in self.customers if one not in self.holder.barred), None)

    @lazy
    def duplicates(self) -> tuple[str, ...]:
        """The living main subscriptions, where there is more than one: the user pays twice."""
        living = [one.known.subscription_id for one in self.ours if one.lives_as_main]
        return tuple(sorted(living)) if len(living) > 1 else ()

    @lazy
    def unknown_prices(self) -> tuple[str, ...]:
        """The prices of living subscriptions that the catalogue neither sells nor ever sold."""
        living = (one for one in self.held if one.lives)
        return tuple(sorted({item.item.price_id for one in living for item in one.items if item.place is None}))

    @lazy
    def changes_at(self) -> int | None:
        """When the clock alone changes what is shown; None: never."""
        moments = [one.access.until for one in self.ours]
        moments.append(self.grant.until if self.grant else None)
        moments.append(self.holder.checkout_until if self.finishable else None)
        return min((moment for moment in moments if moment is not None), default=None)


def hold(holder: Holder, catalogue: Catalogue, now: float) -> Holding:
    """Read what a user holds at `now`."""
    known = [one for one in holder.subscriptions if one.facts is not None or one.lives]
    return Holding(holder, catalogue, now, tuple(held_of(one, catalogue, holder.memory, now) for one in known))


def unremembered(subscriptions: Iterable[Subscription], catalogue: Catalogue) -> set[str]:
    """Return the price ids that the file itself does not name: these are to be looked up in the memory."""
    return {
        item.price_id
        for one in subscriptions
        if one.facts is not None
        for item in one.facts.all_items
        if not catalogue.names(item)
    }


def _sources(held: Held) -> Iterable[Source]:
    for one in held.items:
        if one.place is not None:
            kind = SourceKind.ADDON if one.place.is_addon else SourceKind.PLAN
            yield Source(
                kind=kind,
                place=one.place,
                quantity=one.item.quantity,
                until=held.access.until,
                item=one.item,
                subscription=held.known,
            )


def _shown_first(one: Held) -> tuple[bool, int, float, bool, int, str]:
    if not one.access.granted:
        return False, 0, 0.0, one.known.state is not State.NONE and one.lives, one.created, one.known.subscription_id
    rank = rank_of(one.best)
    lasts = _FOR_EVER if one.access.until is None else one.access.until
    return True, rank, lasts, one.lives, one.created, one.known.subscription_id
