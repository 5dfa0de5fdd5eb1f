"""The plan catalogue, `plans.toml`: what is sold, what was sold, and the policies.

A price belongs to a plan by the first of these that holds:

1. the file names its id (`price`, `prices`, `also`);
2. the file names the lookup key that the price has now;
3. it is remembered: a catalogue of this database once named it, or a lookup key of its once led to it;
4. the file names its product.

A price to which none applies is unknown: what holds no other is not ours.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from interlock.engine.core.lazy import lazy
from interlock.engine.core.plans import (
    AccessPolicy,
    CancelPolicy,
    ChangePolicy,
    CheckoutPolicy,
    Feature,
    Free,
    PausePolicy,
    Plan,
    PortalPolicy,
    Text,
)
from interlock.engine.core.states import Item
from interlock.engine.errors import BadConfiguration

Memory: TypeAlias = Mapping[str, str]
"""Every price id that a catalogue of this database ever named or led to → the key of its plan, the last one."""
NO_MEMORY: Final[Memory] = {}
_ADDONS_BELOW: Final = -1_000_000


class Offer(msgspec.Struct, frozen=True):
    """One price that is sold.  `price` is a Stripe price id, or a lookup key where `by_lookup_key`.

    `interval` is its name in `prices`, None where the plan has only one price.
    """

    plan_key: str
    interval: str | None
    price: str
    by_lookup_key: bool


class Place(msgspec.Struct, frozen=True):
    """Where a price stands in the catalogue.  The higher `rank` is shown, of two that give access.

    Both `key` and `plan` are None for a price that was once sold and whose plan is no longer in the file.  Plans
    rank by their order in the file, what is no longer in it below them, add-ons below all.
    """

    key: str | None
    plan: Plan | None
    rank: int

    @property
    def is_addon(self) -> bool:
        """Whether it is sold beside a plan."""
        return self.plan is not None and self.plan.addon


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """The whole file.  `plans` keeps the file's order: the lesser first."""

    access: AccessPolicy = AccessPolicy()
    plans: dict[Text, Plan] = {}
    features: dict[Text, Feature] = {}
    free: Free = Free()
    checkout: CheckoutPolicy = CheckoutPolicy()
    portal: PortalPolicy = PortalPolicy()
    changes: ChangePolicy = ChangePolicy()
    cancel: CancelPolicy = CancelPolicy()
    pause: PausePolicy = PausePolicy()

    @lazy
    def digest(self) -> str:
        """Changes whenever anything in the catalogue does, the order too: what was shown by another is made anew."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @lazy
    def offers(self) -> dict[str, tuple[Offer, ...]]:
        """What is sold, by plan, in the file's order; a retired plan is not in it."""
        return {key: tuple(_offers(key, plan)) for key, plan in self.plans.items() if plan.sold}

    @lazy
    def named_prices(self) -> dict[str, str]:
        """Each price id that the file itself names → its plan's key; to be remembered."""
        return {name: key for key, plan in self.plans.items() for name in _ids(plan)}

    def place(self, item: Item, memory: Memory = NO_MEMORY) -> Place | None:
        """Return where an item's price stands, None for a price that is not and never was sold."""
        key = self.plan_key(item, memory)
        if key is None:
            return None
        return self._places.get(key) or Place(None, None, 0)

    def plan_key(self, item: Item, memory: Memory = NO_MEMORY) -> str | None:
        """Return the key of the plan that an item's price belongs to; a remembered one may no longer be in the file."""
        return (
            self._by_name.get(item.price_id)
            or self._by_name.get(item.lookup_key or "")
            or memory.get(item.price_id)
            or self._by_product.get(item.product or "")
        )

    def names(self, item: Item) -> bool:
        """Whether the file itself names an item's price or its lookup key; else the memory is to be looked at."""
        return item.price_id in self._by_name or item.lookup_key in self._by_name

    def place_of(self, key: str) -> Place | None:
        """Return where a plan stands, None where the file has none of that key."""
        return self._places.get(key)

    @lazy
    def _places(self) -> dict[str, Place]:
        ranked = enumerate(self.plans.items(), start=1)
        return {key: Place(key, plan, n + _ADDONS_BELOW * plan.addon) for n, (key, plan) in ranked}

    @lazy
    def _by_name(self) -> dict[str, str]:
        return {name: key for key, plan in self.plans.items() for name in _names(plan)}

    @lazy
    def _by_product(self) -> dict[str, str]:
        return {plan.product: key for key, plan in self.plans.items() if plan.product is not None}


def is_price_id(name: str) -> bool:
    """Whether a name in the file is a Stripe price's id (or an old plan's), else it is a lookup key."""
    return name.startswith(("price_", "plan_"))


def _names(plan: Plan) -> Iterator[str]:
    """Yield every price id and lookup key that a plan names, sold and held."""
    yield from (name for name in (plan.price, plan.lookup_key) if name is not None)
    yield from plan.prices.values()
    yield from plan.also


def _ids(plan: Plan) -> Iterator[str]:
    if plan.price is not None:
        yield plan.price
    yield from (name for name in plan.prices.values() if is_price_id(name))
    yield from plan.also


def _offers(key: str, plan: Plan) -> Iterator[Offer]:
    if plan.price is not None:
        yield Offer(key, None, plan.price, False)
    if plan.lookup_key is not None:
        yield Offer(key, None, plan.lookup_key, True)
    for interval, name in plan.prices.items():
        yield Offer(key, interval, name, not is_price_id(name))


def read_catalogue(text: str) -> Catalogue:
    """Read a `plans.toml`; raise BadConfiguration, in words that name the plan, where it does not fit."""
    try:
        return make_catalogue(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(f"PLANS_FILE: {error}") from error


def make_catalogue(read: Mapping[str, object]) -> Catalogue:
    """Make a catalogue of what a `plans.toml` was read into; raise BadConfiguration as `read_catalogue` does."""
    try:
        catalogue = msgspec.convert(read, Catalogue)
    except msgspec.ValidationError as error:
        raise BadConfiguration(f"PLANS_FILE: {error}") from error
    for fault in _faults(catalogue):
        raise BadConfiguration(f"PLANS_FILE: {fault}")
    return catalogue


def load_catalogue(path: Path) -> Catalogue:
    """Read the catalogue's file; raise BadConfiguration where it is missing or does not fit."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"PLANS_FILE: {path}: {error}") from error
    return read_catalogue(text)


def _faults(catalogue: Catalogue) -> Iterator[str]:
    """Yield what is wrong beyond a single key: first of each plan, then of plans beside one another."""
    for key, plan in catalogue.plans.items():
        yield from _faults_of(key, plan)
        yield from _unknown_limits(f"plan {key!r}", plan.limits, catalogue)
    yield from _unknown_limits("[free]", catalogue.free.limits, catalogue)
    named: dict[str, str] = {}
    for key, plan in catalogue.plans.items():
        for name in [*_names(plan), *([plan.product] if plan.product else [])]:
            if name in named and (named[name] != key or name not in plan.also):
                yield f"plan {key!r} names {name!r}, which plan {named[name]!r} names already"
            named[name] = key


def _faults_of(key: str, plan: Plan) -> Iterator[str]:
    ways = [plan.price is not None, plan.lookup_key is not None, bool(plan.prices)].count(True)
    if ways > 1:
        yield f"plan {key!r} needs one of price, lookup_key and prices, not several"
    if ways == 0 and plan.sold:
        yield f"plan {key!r} is sold and has no price: it needs a price, a lookup_key or prices (or sold = false)"
    if plan.quantities.min > plan.quantities.max:
        yield f"plan {key!r}: quantity has a min above its max"


def _unknown_limits(where: str, limits: Mapping[str, object], catalogue: Catalogue) -> Iterator[str]:
    for feature in limits:
        if feature not in catalogue.features:
            yield f"{where} limits the feature {feature!r}, and there is no [features.{feature}]"
