"""Products and prices."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.forms import assign, merge_metadata, metadata, require
from interlock.api.sandbox.core.ledger import Ledger, in_range, same

LONGEST = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}
"""Three years, as the `interval_count` of each interval."""


# -- products --------------------------------------------------------------------------------------


def create_product(w: Ledger, p: Obj) -> Obj:
    """POST /v1/products"""
    require(p, "name")
    product: Obj = {
        "id": p.get("id") or w.new_id("prod_"), "object": "product", "active": p.get("active", True),
        "created": w.now, "default_price": None, "description": p.get("description"),
        "images": p.get("images", []), "livemode": False,
        "marketing_features": p.get("marketing_features", []), "metadata": metadata(p), "name": p["name"],
        "package_dimensions": None, "shippable": p.get("shippable"),
        "statement_descriptor": p.get("statement_descriptor"), "tax_code": p.get("tax_code"),
        "unit_label": p.get("unit_label"), "updated": w.now, "url": p.get("url"),
    }  # fmt: skip
    w.put(product)
    w.emit("product.created", product)
    if data := p.get("default_price_data"):
        price = create_price(w, {**data, "product": product["id"]})
        product["default_price"] = price["id"]
    return product


def update_product(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/products/:id"""
    product = w.get("product", id_)
    if p.get("name") == "":
        raise invalid("A product's name can't be unset.", "name", "parameter_invalid_empty")
    w.touch(product)
    if p.get("default_price"):
        w.of("price", p["default_price"], "default_price")
    assign(product, p, "active", "name", "description", "images", "default_price", "marketing_features",
           "unit_label", "url", "statement_descriptor", "shippable", "tax_code")  # fmt: skip
    merge_metadata(product, p)
    product["updated"] = w.now
    w.emit("product.updated", product)
    return product


def delete_product(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/products/:id"""
    product = w.get("product", id_)
    if any(price["product"] == id_ for price in w.all("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.", "id")
    w.emit("product.deleted", product)
    return w.replace(product, {"id": id_, "object": "product", "deleted": True})


def list_products(w: Ledger, p: Obj) -> Obj:
    """GET /v1/products"""
    return w.page("product", p, "/v1/products", lambda o: (
        same(o, p, "active") and ("ids" not in p or o["id"] in p["ids"])
        and in_range(o["created"], p.get("created"))
    ))  # fmt: skip


# -- prices ----------------------------------------------------------------------------------------


def create_price(w: Ledger, p: Obj, id_: str | None = None) -> Obj:
    """POST /v1/prices"""
    require(p, "currency")
    if data := p.get("product_data"):
        product = create_product(w, data)
    else:
        require(p, "product")
        product = w.of("product", p["product"], "product")
    recurring = p.get("recurring")
    if "unit_amount" not in p and "unit_amount_decimal" not in p and not p.get("custom_unit_amount"):
        raise missing("unit_amount")
    amount = p.get("unit_amount")
    price: Obj = {
        "id": id_ or w.new_id("price_"), "object": "price", "active": p.get("active", True),
        "billing_scheme": p.get("billing_scheme", "per_unit"), "created": w.now,
        "currency": str(p["currency"]).lower(), "custom_unit_amount": None, "livemode": False,
        "lookup_key": None, "metadata": metadata(p), "nickname": p.get("nickname"),
        "product": product["id"],
        "recurring": recurring_of(w, recurring) if recurring else None,
        "tax_behavior": p.get("tax_behavior", "unspecified"), "tiers_mode": None,
        "transform_quantity": None, "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": p.get("unit_amount_decimal") or (None if amount is None else str(amount)),
    }  # fmt: skip
    w.put(price)
    _set_lookup_key(w, price, p)
    w.emit("price.created", price)
    return price


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


def update_price(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/prices/:id"""
    price = w.touch(w.get("price", id_))
    assign(price, p, "active", "nickname", "tax_behavior")
    _set_lookup_key(w, price, p)
    merge_metadata(price, p)
    w.emit("price.updated", price)
    return price


def list_prices(w: Ledger, p: Obj) -> Obj:
    """GET /v1/prices"""
    recurring = p.get("recurring") or NOTHING
    return w.page("price", p, "/v1/prices", lambda o: (
        same(o, p, "active", "product", "type", "currency")
        and ("lookup_keys" not in p or o["lookup_key"] in p["lookup_keys"])
        and all((o["recurring"] or NOTHING).get(k) == v for k, v in recurring.items())
        and in_range(o["created"], p.get("created"))
    ))  # fmt: skip
