"""One catalogue with every kind of price, and short ways to say what a user holds of it, for tests of the core."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from interlock.engine.core.catalogue import Catalogue, read_catalogue
from interlock.engine.core.holding import Holder, Holding, hold
from interlock.engine.core.states import Facts, Item, Subscription
from tests.kit.bodies import DAY, MONTH, T0

PLANS: Final = """
[plans.starter]
name = "Starter"
price = "price_starter"
features = ["projects"]
[plans.pro]
name = "Pro"
prices = { month = "price_pro", year = "price_pro_year" }
also = ["price_pro_2023"]
trial_days = 14
features = ["projects", "export"]
[plans.retired]
name = "Retired"
sold = false
also = ["price_retired"]
features = ["projects", "old"]
[plans.team]
name = "Team"
lookup_key = "team_monthly"
product = "prod_team"
features = ["projects", "export", "sso"]
[plans.storage]
name = "Storage"
price = "price_storage"
addon = true
features = ["storage"]
[plans.ai]
name = "AI"
price = "price_ai"
addon = true
features = ["ai"]
[free]
features = ["look"]
"""
CATALOGUE: Final = read_catalogue(PLANS)
NOW: Final = T0 + DAY


def sub(name: str = "sub_1", *prices: str | Item, status: str = "active", **facts: Any) -> Subscription:
    """One subscription of these prices (Pro where none is named), with the facts given."""
    items = tuple(
        price if isinstance(price, Item) else Item(price, interval="month") for price in prices or ("price_pro",)
    )
    kept = {field: facts.pop(field) for field in ("billing", "unpaid_since", "unknown_status") if field in facts}
    whole: dict[str, Any] = {"created": T0, "current_period_end": T0 + MONTH, "billing_mode": "flexible", **facts}
    told = Facts(subscription_id=name, customer_id=whole.pop("customer", "cus_1"), status=status, items=items, **whole)
    return Subscription(subscription_id=name, facts=told, as_of=T0, evidence=1, since=T0, **kept)


def holding(*subs: Subscription, catalogue: Catalogue = CATALOGUE, now: float = NOW, **holder: Any) -> Holding:
    """What the user `u_1` holds; the same whatever order their subscriptions come in."""
    one, other = (
        hold(Holder(user_id="u_1", subscriptions=order, **holder), catalogue, now)
        for order in (list(subs), list(subs)[::-1])
    )
    for name in ("access", "features", "duplicates", "unknown_prices", "changes_at", "customers", "trial_used"):
        assert getattr(one, name) == getattr(other, name), f"{name} depends on the order"
    assert (one.shown and one.shown.known) == (other.shown and other.shown.known)
    return one


def with_changes(text: str, catalogue: str = PLANS) -> Catalogue:
    """The catalogue with more tables."""
    return read_catalogue(catalogue + text)


def replace(known: Subscription, **facts: Any) -> Subscription:
    """A subscription with some facts changed."""
    assert known.facts is not None
    return msgspec.structs.replace(known, facts=msgspec.structs.replace(known.facts, **facts))
