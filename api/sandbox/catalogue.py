"""What is sold in a new world: the plans of a catalogue as products and prices, under exactly the names it uses."""

from __future__ import annotations

from typing import NamedTuple

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import meters, products


class _Offer(NamedTuple):
    """One price of a plan: its id, or its lookup key."""

    name: str
    interval: str
    amount: int


def stock(w: Ledger, plan: Obj) -> None:
    """A plan's product and prices, as far as they are not there yet.

    A plan is what plans.toml says of it (`key`, `name`, `features`, `price` or `lookup_key` or `prices`, `product`,
    `also`), and beside each price `amount` (or `amounts = { month = 2900, year = 29000 }`), `currency`, `interval`;
    `meter = "event_name"` makes its prices metered.
    """
    id_ = str(plan.get("product") or f"prod_{plan['key']}")
    for offer in _offers(plan):
        if _there(w, offer.name):
            continue
        if w.find("product", id_) is None:
            products.create_product(w, {
                "id": id_, "name": plan.get("name") or plan["key"], "metadata": {"plan": plan["key"]},
                "marketing_features": [{"name": str(feature)} for feature in plan.get("features") or EMPTY],
            })  # fmt: skip
        recurring: Obj = {"interval": offer.interval} | (_metered(w, plan) if plan.get("meter") else {})
        given: Obj = {
            "product": id_, "currency": plan.get("currency") or "usd", "unit_amount": offer.amount,
            "recurring": recurring, "metadata": {"plan": plan["key"]},
        }  # fmt: skip
        by_id = offer.name.startswith("price_")
        given |= {} if by_id else {"lookup_key": offer.name}
        price = products.create_price(w, given, id_=offer.name if by_id else None)
        product = w.get("product", id_)
        if product["default_price"] is None:
            w.touch(product)["default_price"] = price["id"]


def _offers(plan: Obj) -> list[_Offer]:
    usual, amount = str(plan.get("interval") or "month"), int(plan.get("amount") or 0)
    amounts: Obj = plan.get("amounts") or NOTHING
    offers = [_Offer(str(plan[name]), usual, amount) for name in ("price", "lookup_key") if plan.get(name)]
    for word, name in (plan.get("prices") or NOTHING).items():
        interval = word if word in products.LONGEST else usual
        offers.append(_Offer(str(name), interval, int(amounts.get(word, amount))))
    return offers + [_Offer(str(name), usual, amount) for name in plan.get("also") or EMPTY]


def _there(w: Ledger, name: str) -> bool:
    return w.find("price", name) is not None or any(price["lookup_key"] == name for price in w.all("price"))


def _metered(w: Ledger, plan: Obj) -> Obj:
    event = str(plan["meter"])
    meter = next((each for each in w.all("billing.meter") if each["event_name"] == event), None)
    if meter is None:
        formula: Obj = {"display_name": event, "event_name": event, "default_aggregation": {"formula": "sum"}}
        meter = meters.create_meter(w, formula)
    return {"usage_type": "metered", "meter": meter["id"]}
