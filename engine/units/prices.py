"""The memory of prices: every price id that a catalogue of this database ever named or led to stays its plan's."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from interlock.engine.core.states import LIVING, Facts, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit


def remember(prices: dict[str, str], unit: Unit) -> Work[None]:
    """Remember which plan each price belongs to: those that the file names, or that a lookup key led to."""
    for price_id, plan_key in sorted(prices.items()):
        known = yield from records.remembered_price(price_id)
        if known is None or known.plan_key != plan_key:
            yield from records.remember_price(price_id, plan_key, int(unit.now))


def note_prices(before: Facts | None, after: Subscription, unknown: str | None, unit: Unit) -> Work[str | None]:
    """Read the prices of a subscription that is about to be saved, and remember them.

    Returns those that no plan sells or ever sold, with commas; None where there are none, and after the end.
    `unknown` is what was stored, and stays while the items are the same.
    """
    facts = after.facts
    if facts is None or after.state not in LIVING:
        return None
    if before is not None and before.items == facts.items and before.status == facts.status:
        return unknown
    found = yield from _unknown_of(facts, unit)
    return ",".join(found) or None


def look_again(subscription_id: str, unit: Unit) -> Work[None]:
    """Read the prices of a subscription once more: another catalogue may sell them."""
    held = yield from unit.subscription(subscription_id)
    if held.known.facts is None:
        return
    unknown = ",".join((yield from _unknown_of(held.known.facts, unit))) or None
    if unknown != held.unknown_prices:
        unit.put_stored(replace(held, unknown_prices=unknown))
        if held.user_id is not None:
            unit.touch(held.user_id, held.known.facts.customer_id)


def count_unknown() -> Work[dict[str, int]]:
    """Count the living subscriptions that hold each price that no plan sells or ever sold."""
    counts: Counter[str] = Counter()
    after = ""
    while page := (yield from records.subscriptions_of_unknown_price(after)):
        counts.update(price for _, prices in page for price in prices.split(","))
        after = page[-1][0]
    return dict(sorted(counts.items()))


def _unknown_of(facts: Facts, unit: Unit) -> Work[list[str]]:
    """Find the prices that no plan sells or sold; each is noted when it is seen for the first time."""
    unknown: set[str] = set()
    for item in facts.items:
        if item.price_id in unit.catalogue.named_prices:
            continue  # the file names it, and it is remembered since the start
        plan_key = unit.catalogue.plan_key(item)
        known = yield from records.remembered_price(item.price_id)
        if plan_key is not None:
            if known is None or known.plan_key != plan_key:
                yield from records.remember_price(item.price_id, plan_key, int(unit.now))
        elif known is None or known.plan_key is None:
            unknown.add(item.price_id)
            if known is None:
                yield from records.remember_price(item.price_id, None, int(unit.now))
                unit.first_seen.append((item.price_id, facts.subscription_id))
    return sorted(unknown)
