"""Products and prices."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import amounts

LONGEST = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}
"""Three years, as the `interval_count` of each interval."""


# -- products --------------------------------------------------------------------------------------


PRODUCT_FIELDS = ("active", "name", "description", "images", "default_price", "marketing_features", "unit_label", "url",
                  "statement_descriptor", "shippable", "tax_code")  # fmt: skip


def create_product(w: Ledger, p: Obj) -> Obj:
    """POST /v1/products"""
    require(p, "name")
    lists: Obj = {"images": p.get("images") or [], "marketing_features": p.get("marketing_features") or []}
    product = w.new("product", "prod_", p, PRODUCT_FIELDS, active=p.get("active", True), updated=w.now, **lists)
    product["id"] = p.get("id") or product["id"]
    w.put(product)
    w.emit("product.created", product)
    if data := p.get("default_price_data"):
        price = create_price(w, {**data, "product": product["id"]})
        product["default_price"] = price["id"]
    return product


def _changed_product(w: Ledger, product: Obj, p: Obj) -> None:
    if not product["name"]:
        raise invalid("A product's name can't be unset.", "name", "parameter_invalid_empty")
    if p.get("default_price"):
        w.of("price", p["default_price"], "default_price")


def _may_delete_product(w: Ledger, product: Obj) -> None:
    if any(price["product"] == product["id"] for price in w.all("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.", "id")


# -- prices ----------------------------------------------------------------------------------------


def new_price(w: Ledger, p: Obj, product: str, recurring: Obj | None, active: bool) -> Obj:
    """A price, not kept yet."""
    amount = p.get("unit_amount")
    return w.new(
        "price", "price_", p, ("nickname", "tiers_mode", "transform_quantity"), active=active,
        billing_scheme=p.get("billing_scheme", "per_unit"),
        currency=str(p["currency"]).lower(), product=product, recurring=recurring,
        tax_behavior=p.get("tax_behavior", "unspecified"), type="recurring" if recurring else "one_time",
        unit_amount=amount,
        unit_amount_decimal=p.get("unit_amount_decimal") or (None if amount is None else str(amount)),
    )  # fmt: skip


def create_price(w: Ledger, p: Obj, id_: str | None = None) -> Obj:
    """POST /v1/prices"""
    require(p, "currency")
    if data := p.get("product_data"):
        product = create_product(w, data)
    else:
        require(p, "product")
        product = w.of("product", p["product"], "product")
    tiers = amounts.tiers_of(p) if p.get("billing_scheme") == "tiered" else None
    if tiers is None and not p.keys() & {"unit_amount", "unit_amount_decimal", "custom_unit_amount"}:
        raise missing("unit_amount")
    recurring = recurring_of(w, p["recurring"]) if p.get("recurring") else None
    price = new_price(w, p, product["id"], recurring, active=p.get("active", True))
    price["id"] = id_ or price["id"]
    if tiers is not None:
        w.note(price["id"])["tiers"] = tiers
    w.put(price)
    _set_lookup_key(w, price, p)
    w.emit("price.created", price)
    return price


def pricing_of(price: Obj) -> Obj:
    """The `pricing` of an invoice's line or item."""
    return {
        "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
        "price_details": {"price": price["id"], "product": price["product"]},
    }  # fmt: skip


def product_name(w: Ledger, price: Obj) -> str:
    """The name of what is sold; a deleted or inline product is named by its id."""
    return str((w.find("product", price["product"]) or NOTHING).get("name") or price["product"])


def same_currency(price: Obj, expected: str | None, param: str) -> str:
    """The currency of a price, which is the expected one where one is."""
    currency = str(price["currency"])
    if expected and currency != expected.lower():
        raise invalid(f"The price specified only supports `{currency}`. This doesn't match the expected currency: "
                      f"`{expected}`.", param)  # fmt: skip
    return currency


def recurring_of(w: Ledger, given: Obj) -> Obj:
    """The `recurring` hash; a meter makes it metered."""
    require(given, "interval")
    if meter := given.get("meter"):
        w.of("billing.meter", meter, "recurring[meter]")
    usage = given.get("usage_type", "licensed")
    count, longest = given.get("interval_count", 1), LONGEST[given["interval"]]
    if not 1 <= count <= longest:
        raise invalid(f"This value must be from 1 to {longest}: three years are the longest interval.",
                      "recurring[interval_count]", "parameter_invalid_integer")  # fmt: skip
    return {
        "interval": given["interval"], "interval_count": count, "meter": meter,
        "trial_period_days": None, "usage_type": usage,
    }  # fmt: skip


def _set_lookup_key(w: Ledger, price: Obj, p: Obj) -> None:
    key = p.get("lookup_key")
    if key is None:
        return
    for other in w.all("price"):
        if key and other["lookup_key"] == key and other is not price:
            if not p.get("transfer_lookup_key"):
                raise invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
            w.touch(other)["lookup_key"] = None
            w.emit("price.updated", other)
    price["lookup_key"] = key or None


def _wanted_price(_w: Ledger, o: Obj, p: Obj) -> bool:
    recurring = p.get("recurring") or NOTHING
    return ("lookup_keys" not in p or o["lookup_key"] in p["lookup_keys"]) and all(
        (o["recurring"] or NOTHING).get(k) == v for k, v in recurring.items()
    )


PRODUCTS = Resource(
    "product", "products", create_product, PRODUCT_FIELDS, _changed_product, filters=("active",),
    where=lambda _w, o, p: "ids" not in p or o["id"] in p["ids"], delete=_may_delete_product, events="product",
)  # fmt: skip
PRICES = Resource(
    "price", "prices", create_price, ("active", "nickname", "tax_behavior"), _set_lookup_key,
    filters=("active", "product", "type", "currency"), where=_wanted_price, events="price",
)  # fmt: skip
ROUTES = PRODUCTS.routes() + PRICES.routes()
