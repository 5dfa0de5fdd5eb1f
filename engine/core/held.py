"""One subscription of a user, with its items read by the catalogue: is it ours, and which plan is in it?"""

from __future__ import annotations

import msgspec

from interlock.engine.core.access import Access, access
from interlock.engine.core.catalogue import Catalogue, Memory, Place
from interlock.engine.core.lazy import lazy
from interlock.engine.core.states import Item, Subscription


class HeldItem(msgspec.Struct, frozen=True):
    """One item of a subscription, and where its price stands; None for a price that is unknown."""

    item: Item
    place: Place | None


class Held(msgspec.Struct, frozen=True, dict=True):
    """One subscription of a user, with its items read by the catalogue and its access."""

    known: Subscription
    items: tuple[HeldItem, ...]
    access: Access

    @lazy
    def is_ours(self) -> bool:
        """Whether we sell, or ever sold, one of its items.

        Where even its items can't be read yet (a status that is not known), it counts as ours and gives nothing.
        """
        return any(one.place is not None for one in self.items) or (self.known.facts is None and self.known.lives)

    @lazy
    def main(self) -> HeldItem | None:
        """The item that is the user's plan: of the known ones that are no add-on, the latest in the file."""
        mains = [one for one in self.items if one.place is not None and not one.place.is_addon]
        return max(mains, key=rank_of, default=None)

    @lazy
    def best(self) -> HeldItem | None:
        """The item that is shown as plan where this subscription is: the main one, else the latest add-on."""
        return self.main or max((one for one in self.items if one.place is not None), key=rank_of, default=None)

    @lazy
    def several_mains(self) -> bool:
        """Whether it has more than one main plan in it; then no change of plan is clear."""
        return sum(1 for one in self.items if one.place is not None and not one.place.is_addon) > 1

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.known.lives

    @property
    def lives_as_main(self) -> bool:
        """Whether it is living and more than add-ons: a second one beside it would be paid twice."""
        return self.is_ours and self.lives and (self.main is not None or not self.items)

    @property
    def created(self) -> int:
        return self.known.facts.created if self.known.facts else 0

    @property
    def customer_id(self) -> str | None:
        return (self.known.facts.customer_id or None) if self.known.facts else None


def read_items(items: tuple[Item, ...], catalogue: Catalogue, memory: Memory) -> tuple[HeldItem, ...]:
    """Find where each item's price stands in the catalogue."""
    return tuple(HeldItem(item, catalogue.place(item, memory)) for item in items)


def held_of(known: Subscription, catalogue: Catalogue, memory: Memory, now: float) -> Held:
    """Read one subscription at `now`."""
    items = known.facts.items if known.facts else ()
    return Held(known, read_items(items, catalogue, memory), access(known, catalogue.access, now))


def rank_of(one: HeldItem | None) -> int:
    """How high an item's plan stands; 0 for what no plan names."""
    return one.place.rank if one is not None and one.place is not None else 0
