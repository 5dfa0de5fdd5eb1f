"""Which plan each price belongs to that a catalogue of this database ever named or led to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS


class RememberedPrice(Struct, frozen=True):
    """One price that was seen; `plan_key` None: no catalogue ever sold it."""

    price_id: str
    plan_key: str | None


def remembered_price(price_id: str) -> Work[RememberedPrice | None]:
    """Read what is remembered of a price, None where it was never seen."""
    rows = yield _S["price_get"], (price_id,)
    return RememberedPrice(*rows[0]) if rows else None


def remembered_prices(price_ids: Iterable[str]) -> Work[dict[str, str]]:
    """Read the plans of these prices, without those that were never sold."""
    found: dict[str, str] = {}
    for price_id in sorted(price_ids):
        price = yield from remembered_price(price_id)
        if price is not None and price.plan_key is not None:
            found[price_id] = price.plan_key
    return found


def remember_price(price_id: str, plan_key: str | None, seen_at: int) -> Work[None]:
    """Remember which plan a price belongs to."""
    yield _S["price_put"](price_id=price_id, plan_key=plan_key, seen_at=seen_at)
