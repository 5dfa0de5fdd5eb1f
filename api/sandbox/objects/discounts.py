"""Coupons, promotion codes, and the discounts that come of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import in_future
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.core.rules import Rule, one

COUPON_FIELDS = ("amount_off", "currency", "duration_in_months", "max_redemptions", "name", "percent_off", "redeem_by")


def create_coupon(w: Ledger, p: Obj) -> Obj:
    """POST /v1/coupons"""
    if ("percent_off" in p) == ("amount_off" in p):
        raise invalid("You must pass either percent_off or amount_off.", "percent_off")
    if "amount_off" in p:
        require(p, "currency")
    if "redeem_by" in p:
        in_future(p["redeem_by"], w.now, "redeem_by")
    coupon = w.new("coupon", "", p, COUPON_FIELDS, duration=p.get("duration", "once"), times_redeemed=0, valid=True)
    coupon["id"] = p.get("id") or coupon["id"][:8]
    w.put(coupon)
    w.emit("coupon.created", coupon)
    return coupon


def create_promotion_code(w: Ledger, p: Obj) -> Obj:
    """POST /v1/promotion_codes"""
    coupon = (p.get("promotion") or NOTHING).get("coupon") or p.get("coupon")
    if not coupon:
        raise missing("promotion[coupon]")
    if not w.of("coupon", coupon, "promotion[coupon]")["valid"]:
        raise invalid("Coupon expired: " + coupon, "promotion[coupon]", "coupon_expired")
    if "expires_at" in p:
        in_future(p["expires_at"], w.now, "expires_at")
    code = p.get("code") or w.new_id("")[:8].upper()
    if any(o["code"].lower() == code.lower() and o["active"] for o in w.all("promotion_code")):
        raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")
    restrictions: Obj = {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None}
    promotion = w.new(
        "promotion_code", "promo_", p, ("customer", "expires_at", "max_redemptions"), active=p.get("active", True),
        code=code, promotion={"type": "coupon", "coupon": coupon}, times_redeemed=0,
        restrictions=restrictions | (p.get("restrictions") or NOTHING),
    )  # fmt: skip
    w.put(promotion)
    w.emit("promotion_code.created", promotion)
    return promotion


def _changed_code(w: Ledger, promotion: Obj, p: Obj) -> None:
    coupon = w.find("coupon", promotion["promotion"]["coupon"]) or NOTHING
    over = any(holds(w, promotion, Use(promotion["customer"])) for holds in (_late, _full))
    if p.get("active") and (over or not coupon.get("valid")):
        raise invalid("This promotion code cannot be activated because it, or its coupon, can no longer be redeemed.",
                      "active")  # fmt: skip


def _wanted_code(_w: Ledger, o: Obj, p: Obj) -> bool:
    coupon = "coupon" not in p or o["promotion"]["coupon"] == p["coupon"]
    return coupon and ("code" not in p or o["code"].lower() == p["code"].lower())


# -- redeeming -------------------------------------------------------------------------------------


class Use(NamedTuple):
    """What a discount is to be taken off: whose it is, and what it costs where that is known."""

    customer: str | None
    amount: int | None = None
    currency: str | None = None


def _full(_w: Ledger, promotion: Obj, _use: Use) -> bool:
    return bool(promotion["max_redemptions"]) and promotion["times_redeemed"] >= promotion["max_redemptions"]


def _late(w: Ledger, promotion: Obj, _use: Use) -> bool:
    return bool(promotion["expires_at"]) and promotion["expires_at"] <= w.now


def _not_enough(_w: Ledger, promotion: Obj, use: Use) -> bool:
    least, currency = (promotion["restrictions"][name] for name in ("minimum_amount", "minimum_amount_currency"))
    return bool(least) and use.amount is not None and (use.amount < least or use.currency != currency)


def _not_the_first(w: Ledger, promotion: Obj, use: Use) -> bool:
    return promotion["restrictions"]["first_time_transaction"] and any(
        invoice["status"] == "paid" for invoice in w.of_customer("invoice", use.customer or "")
    )


_NOT_FOR: tuple[tuple[Callable[[Ledger, Obj, Use], bool], str, str | None], ...] = (
    (_late, "it has expired", None),
    (_full, "it has been used the maximum number of times", None),
    (lambda _w, promotion, _use: not promotion["active"], "it is not active", None),
    (lambda _w, promotion, use: promotion["customer"] not in (None, use.customer), "it is for another customer", None),
    (_not_enough, "the associated purchase does not meet the minimum amount requirement", None),
    (_not_the_first, "the associated customer has prior transactions", "promotion_code_customer_not_first_time"),
)  # fmt: skip
"""Why a promotion code cannot be redeemed: the first that holds is the reason given, with Stripe's error code."""


def chosen(w: Ledger, each: Obj, use: Use, param: str) -> tuple[Obj, Obj | None]:
    """The coupon that one of `discounts` names, and the promotion code if it does so by that; both can be redeemed."""
    promotion = None
    if name := each.get("promotion_code"):
        promotion = w.of("promotion_code", name, f"{param}[promotion_code]")
        reason = next(((why, code) for holds, why, code in _NOT_FOR if holds(w, promotion, use)), None)
        if reason is not None:
            raise invalid(f"This promotion code cannot be redeemed because {reason[0]}.",
                          f"{param}[promotion_code]", reason[1])  # fmt: skip
    name = promotion["promotion"]["coupon"] if promotion else each.get("coupon", "")
    coupon = w.of("coupon", name, f"{param}[coupon]")
    if not coupon["valid"] or (coupon["redeem_by"] or w.now) < w.now:
        raise invalid("Coupon expired: " + coupon["id"], "coupon", "coupon_expired")
    return coupon, promotion


def redeem(w: Ledger, given: Any, use: Use, *, customer: str, sub: str | None = None) -> list[str]:
    """`discounts: [{coupon | promotion_code | discount}]` → new discount objects' ids."""
    ids: list[str] = []
    for n, each in enumerate(given or EMPTY):
        if kept := each.get("discount"):
            ids.append(w.of("discount", kept, f"discounts[{n}][discount]")["id"])
            continue
        coupon, promotion = chosen(w, each, use, f"discounts[{n}]")
        if promotion is not None:
            w.touch(promotion)["times_redeemed"] += 1
            promotion["active"] = not _full(w, promotion, use)
        w.touch(coupon)["times_redeemed"] += 1
        if coupon["max_redemptions"] and coupon["times_redeemed"] >= coupon["max_redemptions"]:
            lapse(w, coupon)
        ids.append(_discount(w, coupon, promotion, customer, sub)["id"])
    return ids


def consume(w: Ledger, invoice: Obj, sub: Obj | None) -> None:
    """A paid invoice ends the discounts that were for one invoice and were taken off this one."""
    used = {str(each["discount"]) for each in invoice["total_discount_amounts"] if each["amount"]}
    for line in invoice["lines"]["data"]:
        details = line["parent"]["subscription_item_details"] or NOTHING
        used |= set(w.notes.get(details.get("invoice_item") or "", NOTHING).get("discounts", EMPTY))
    for id_ in sorted(used):
        discount = w.get("discount", id_)
        if (w.find("coupon", discount["source"]["coupon"]) or NOTHING).get("duration") != "once":
            continue
        w.touch(discount)["end"] = w.now
        if sub is not None and id_ in sub["discounts"]:
            w.touch(sub)["discounts"].remove(id_)
        customer = w.get("customer", invoice["customer"])
        if (customer["discount"] or NOTHING).get("id") == id_:
            w.touch(customer)["discount"] = None


def lapse(w: Ledger, coupon: Obj) -> None:
    """No longer to be redeemed, and no code for it either."""
    w.touch(coupon)["valid"] = False
    for promotion in w.all("promotion_code"):
        if promotion["promotion"]["coupon"] == coupon["id"] and promotion["active"]:
            expire(w, promotion)


def expire(w: Ledger, promotion: Obj) -> None:
    """active → not."""
    w.touch(promotion)["active"] = False


def _discount(w: Ledger, coupon: Obj, promotion: Obj | None, customer: str, sub: str | None) -> Obj:
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    end = w.now + int(months) * 2_629_746 if months else None  # a `once` ends with the invoice that it was taken off
    return w.put(w.new(
        "discount", "di_", customer=customer, end=end, promotion_code=promotion["id"] if promotion else None,
        source={"type": "coupon", "coupon": coupon["id"]}, start=w.now, subscription=sub,
    ))  # fmt: skip


def _redeem_by(_w: Ledger, coupon: Obj) -> int | None:
    return coupon["redeem_by"] if coupon["valid"] else None


def _expires_at(_w: Ledger, promotion: Obj) -> int | None:
    return promotion["expires_at"] if promotion["active"] else None


RULES: dict[str, tuple[Rule, ...]] = {
    "coupon": (Rule("coupon expires", one(None), _redeem_by, lapse),),
    "promotion_code": (Rule("promotion code expires", one(None), _expires_at, expire),),
}
COUPONS = Resource("coupon", "coupons", create_coupon, ("name",), delete=lapse, events="coupon")
PROMOTION_CODES = Resource("promotion_code", "promotion_codes", create_promotion_code, ("active",), _changed_code,
                           filters=("active", "customer"), where=_wanted_code, events="promotion_code")  # fmt: skip
ROUTES = COUPONS.routes() + PROMOTION_CODES.routes()
