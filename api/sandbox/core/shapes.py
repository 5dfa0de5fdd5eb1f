"""How objects look: the current API version (the one that the pinned `stripe` speaks), and pre-basil.

Objects are stored in the current shape. A webhook endpoint, or a request's `Stripe-Version`, may ask
for a version before 2025-03-31.basil: there the period is on the subscription, an invoice names its
subscription, its payment intent and its charge directly, its lines have their prices whole, and discounts their coupon.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, cast

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid

API_VERSION = "2026-10-28.endive"
BASIL = "2025-03-31"
EXPAND_DEPTH = 4


class Store(Protocol):
    """Where the other things are: an old shape has in one what the current one has in several."""

    notes: dict[str, Obj]

    def find(self, kind: str, id: str | None) -> Obj | None:  # noqa: A002
        """The thing, or None."""
        ...


def is_legacy(version: str) -> bool:
    """Before basil?"""
    return version[:10] < BASIL


# -- differences -----------------------------------------------------------------------------------


def difference(before: Obj, after: Obj) -> Obj:
    """`previous_attributes`: the old value of what changed; nested hashes in part, arrays whole."""
    old: Obj = {}
    for key in before.keys() | after.keys():
        was: Any = before.get(key)
        now: Any = after.get(key)
        if was == now:
            continue
        both = isinstance(was, dict) and isinstance(now, dict)
        old[key] = difference(cast("Obj", was), cast("Obj", now)) if both else copy.deepcopy(cast("Any", was))
    return {key: old[key] for key in sorted(old)}


# -- versions --------------------------------------------------------------------------------------


def rendered(value: Any, version: str, store: Store) -> Any:
    """A deep copy in the shape of `version`."""
    legacy = is_legacy(version)

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(each) for each in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        out: Obj = {key: walk(each) for key, each in cast("Obj", node).items()}
        if legacy and (convert := LEGACY.get(str(out.get("object")))):
            convert(out, store)
        return out

    return walk(value)


def _legacy_subscription(sub: Obj, store: Store) -> None:
    ends = [item.get("current_period_end") for item in sub["items"]["data"]]
    starts = [item.get("current_period_start") for item in sub["items"]["data"]]
    for item in sub["items"]["data"]:
        for gone in ("current_period_end", "current_period_start", "discounts"):
            item.pop(gone, None)
        item["plan"] = _legacy_plan(item["price"])
    sub["current_period_end"] = min((end for end in ends if end), default=None)
    sub["current_period_start"] = min((start for start in starts if start), default=None)
    sub["plan"] = sub["items"]["data"][0]["plan"] if len(sub["items"]["data"]) == 1 else None
    sub["quantity"] = sub["items"]["data"][0].get("quantity") if sub["plan"] else None
    sub["discount"] = _legacy_first(sub, store)
    for gone in ("billing_mode", "billing_schedules", "status_details", "managed_payments"):
        sub.pop(gone, None)


def _legacy_plan(price: Obj) -> Obj:
    recurring = price.get("recurring") or NOTHING
    return {
        "id": price["id"], "object": "plan", "active": price["active"], "amount": price["unit_amount"],
        "currency": price["currency"], "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"), "product": price["product"],
        "livemode": False, "metadata": price["metadata"], "nickname": price["nickname"],
        "usage_type": recurring.get("usage_type"), "created": price["created"],
    }  # fmt: skip


def _legacy_invoice(invoice: Obj, store: Store) -> None:
    details = (invoice.pop("parent", None) or NOTHING).get("subscription_details") or NOTHING
    invoice["subscription"] = details.get("subscription")
    invoice["subscription_details"] = {"metadata": details.get("metadata")} if details else None
    invoice["paid"] = invoice["status"] == "paid"
    invoice["paid_out_of_band"] = invoice["amount_paid_off_stripe"] > 0
    invoice["tax"] = None
    invoice["discount"] = _legacy_first(invoice, store)
    invoice["quote"] = None
    intent = _latest_intent(invoice, store) or NOTHING
    invoice["payment_intent"], invoice["charge"] = intent.get("id"), intent.get("latest_charge")
    for gone in ("status_details", "confirmation_secret", "amount_overpaid", "total_taxes",
                 "amount_paid_off_stripe"):  # fmt: skip
        invoice.pop(gone, None)


def _latest_intent(invoice: Obj, store: Store) -> Obj | None:
    payments: list[str] = store.notes.get(invoice["id"], NOTHING).get("payments") or [""]
    payment = store.find("invoice_payment", payments[-1])
    return store.find("payment_intent", payment["payment"]["payment_intent"]) if payment else None


def _legacy_first(owner: Obj, store: Store) -> Obj | None:
    """The one `discount` that an old shape has, whole."""
    ids: list[str] = owner.get("discounts") or []
    found = store.find("discount", ids[0]) if ids else None
    return rendered(found, "", store) if found else None


def _legacy_line(line: Obj, store: Store) -> None:
    parent = line.pop("parent", None) or NOTHING
    details = parent.get(parent.get("type", "")) or NOTHING
    line["type"] = "subscription" if parent.get("type") == "subscription_item_details" else "invoiceitem"
    line["proration"] = details.get("proration", False)
    line["subscription"] = details.get("subscription")
    line["subscription_item"] = details.get("subscription_item")
    pricing = (line.pop("pricing", None) or NOTHING).get("price_details") or NOTHING
    price = line["price"] = copy.deepcopy(store.find("price", pricing.get("price")))
    line["plan"] = _legacy_plan(price) if price and price["recurring"] else None


def _legacy_discount(discount: Obj, store: Store) -> None:
    discount["coupon"] = _coupon(discount.pop("source"), store)


def _legacy_promotion_code(code: Obj, store: Store) -> None:
    code["coupon"] = _coupon(code.pop("promotion"), store)


def _coupon(owner: Obj, store: Store) -> Any:
    return copy.deepcopy(store.find("coupon", owner["coupon"])) or owner["coupon"]


LEGACY: dict[str, Callable[[Obj, Store], None]] = {
    "subscription": _legacy_subscription,
    "invoice": _legacy_invoice,
    "line_item": _legacy_line,
    "discount": _legacy_discount,
    "promotion_code": _legacy_promotion_code,
}

# -- expansion -------------------------------------------------------------------------------------

# Fields that hold an id → the kind of object it names.
NAMES: dict[str, str] = {
    "customer": "customer", "latest_invoice": "invoice", "invoice": "invoice",
    "subscription": "subscription", "default_payment_method": "payment_method",
    "payment_method": "payment_method", "test_clock": "test_helpers.test_clock", "product": "product",
    "price": "price", "default_price": "price", "payment_intent": "payment_intent",
    "setup_intent": "setup_intent", "pending_setup_intent": "setup_intent", "coupon": "coupon",
    "promotion_code": "promotion_code", "discounts": "discount", "discount": "discount",
    "configuration": "billing_portal.configuration", "latest_charge": "charge", "charge": "charge",
    "meter": "billing.meter", "default_source": "card", "schedule": "subscription_schedule",
    "released_subscription": "subscription",
}  # fmt: skip

Look = Callable[[str, str], Obj | None]
Includes = dict[tuple[str, str], Callable[[Obj], Any]]


def expanded(body: Obj, paths: list[str], look: Look, includes: Includes) -> None:
    """Put the objects in place of the ids that `expand[]` names; `body` is changed."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > EXPAND_DEPTH:
            raise invalid(f"You cannot expand more than 4 levels of a property: {path}", "expand")
        _expand(body, steps, path, look, includes)


def _expand(node: Obj, steps: list[str], path: str, look: Look, includes: Includes) -> None:
    name, rest = steps[0], steps[1:]
    include = includes.get((str(node.get("object")), name))
    if include is not None and name not in node:
        node[name] = include(node)
    if name not in node:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    value: Any = node[name]
    if isinstance(value, str):
        kind = NAMES.get(name)
        found = look(kind, value) if kind else None
        if found is None:
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        value = node[name] = copy.deepcopy(found)
    elif isinstance(value, list):
        kind = NAMES.get(name, "")
        value = node[name] = [
            copy.deepcopy(look(kind, each) or {"id": each}) if isinstance(each, str) else each
            for each in cast("list[Any]", value)
        ]
    if not rest:
        return
    for each in cast("list[Any]", value if isinstance(value, list) else [value]):
        if isinstance(each, dict):
            _expand(cast("Obj", each), rest, path, look, includes)
