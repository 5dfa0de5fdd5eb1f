"""Coupons, promotion codes, and the discounts that come of them."""

from __future__ import annotations

from typing import Any

from .catalog import assign, merge_metadata, metadata, require
from .errors import EMPTY, NOTHING, Obj, StripeError, invalid, missing
from .ledger import Ledger, in_range, same


def create_coupon(w: Ledger, p: Obj) -> Obj:
    """POST /v1/coupons"""
    if ("percent_off" in p) == ("amount_off" in p):
        raise invalid("You must pass either percent_off or amount_off.", "percent_off")
    if "amount_off" in p:
        require(p, "currency")
    coupon: Obj = {
        "id": p.get("id") or w.new_id("")[:8], "object": "coupon", "amount_off": p.get("amount_off"),
        "created": w.now, "currency": p.get("currency"), "duration": p.get("duration", "once"),
        "duration_in_months": p.get("duration_in_months"), "livemode": False,
        "max_redemptions": p.get("max_redemptions"), "metadata": metadata(p), "name": p.get("name"),
        "percent_off": p.get("percent_off"), "redeem_by": p.get("redeem_by"), "times_redeemed": 0,
        "valid": True,
    }  # fmt: skip
    w.put(coupon)
    w.emit("coupon.created", coupon)
    return coupon


def update_coupon(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/coupons/:id"""
    coupon = w.touch(w.get("coupon", id_))
    assign(coupon, p, "name")
    merge_metadata(coupon, p)
    w.emit("coupon.updated", coupon)
    return coupon


def delete_coupon(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/coupons/:id"""
    coupon = w.get("coupon", id_)
    w.emit("coupon.deleted", coupon)
    return w.replace(coupon, {"id": id_, "object": "coupon", "deleted": True})


def list_coupons(w: Ledger, p: Obj) -> Obj:
    """GET /v1/coupons"""
    return w.page("coupon", p, "/v1/coupons", lambda o: in_range(o["created"], p.get("created")))


def create_promotion_code(w: Ledger, p: Obj) -> Obj:
    """POST /v1/promotion_codes"""
    coupon = (p.get("promotion") or NOTHING).get("coupon") or p.get("coupon")
    if not coupon:
        raise missing("promotion[coupon]")
    w.of("coupon", coupon, "promotion[coupon]")
    code = p.get("code") or w.new_id("")[:8].upper()
    if any(o["code"].lower() == code.lower() and o["active"] for o in w.all("promotion_code")):
        raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")
    restrictions: Obj = {"first_time_transaction": False, "minimum_amount": None,
                         "minimum_amount_currency": None}  # fmt: skip
    promotion: Obj = {
        "id": w.new_id("promo_"), "object": "promotion_code", "active": p.get("active", True), "code": code,
        "created": w.now, "customer": p.get("customer"), "customer_account": None,
        "expires_at": p.get("expires_at"), "livemode": False,
        "max_redemptions": p.get("max_redemptions"), "metadata": metadata(p),
        "promotion": {"type": "coupon", "coupon": coupon},
        "restrictions": restrictions | (p.get("restrictions") or NOTHING), "times_redeemed": 0,
    }  # fmt: skip
    w.put(promotion)
    w.emit("promotion_code.created", promotion)
    return promotion


def update_promotion_code(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/promotion_codes/:id"""
    promotion = w.touch(w.get("promotion_code", id_))
    assign(promotion, p, "active")
    merge_metadata(promotion, p)
    w.emit("promotion_code.updated", promotion)
    return promotion


def list_promotion_codes(w: Ledger, p: Obj) -> Obj:
    """GET /v1/promotion_codes"""
    return w.page("promotion_code", p, "/v1/promotion_codes", lambda o: (
        ("code" not in p or o["code"].lower() == p["code"].lower())
        and same(o, p, "active", "customer")
        and ("coupon" not in p or o["promotion"]["coupon"] == p["coupon"])
        and in_range(o["created"], p.get("created"))
    ))  # fmt: skip


def redeem(w: Ledger, given: Any, *, customer: str, sub: str | None = None, session: str | None = None) -> list[str]:
    """`discounts: [{coupon | promotion_code | discount}]` → new discount objects' ids."""
    ids: list[str] = []
    for each in given or EMPTY:
        if kept := each.get("discount"):
            ids.append(w.of("discount", kept, "discounts[0][discount]")["id"])
            continue
        promotion = None
        if code := each.get("promotion_code"):
            promotion = w.touch(w.of("promotion_code", code, "discounts[0][promotion_code]"))
            _check_usable(w, promotion, customer)
            promotion["times_redeemed"] += 1
        coupon = w.touch(w.of("coupon", promotion["promotion"]["coupon"] if promotion else each.get("coupon", ""),
                              "discounts[0][coupon]"))  # fmt: skip
        if not coupon["valid"] or (coupon["redeem_by"] or w.now) < w.now:
            raise invalid("Coupon expired: " + coupon["id"], "coupon", "coupon_expired")
        coupon["times_redeemed"] += 1
        ids.append(_discount(w, coupon, promotion, customer, sub, session)["id"])
    return ids


def _check_usable(w: Ledger, promotion: Obj, customer: str) -> None:
    full = promotion["max_redemptions"] and promotion["times_redeemed"] >= promotion["max_redemptions"]
    late = promotion["expires_at"] and promotion["expires_at"] <= w.now
    other = promotion["customer"] and promotion["customer"] != customer
    if not promotion["active"] or full or late or other:
        raise StripeError(400, "This promotion code cannot be redeemed.", param="discounts[0][promotion_code]")


def _discount(
    w: Ledger, coupon: Obj, promotion: Obj | None, customer: str, sub: str | None, session: str | None
) -> Obj:
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    end = w.now + int(months) * 2_629_746 if months else (w.now + 1 if coupon["duration"] == "once" else None)
    return w.put({
        "id": w.new_id("di_"), "object": "discount", "checkout_session": session, "customer": customer,
        "customer_account": None, "end": end, "invoice": None, "invoice_item": None,
        "promotion_code": promotion["id"] if promotion else None,
        "source": {"type": "coupon", "coupon": coupon["id"]}, "start": w.now, "subscription": sub,
        "subscription_item": None,
    })  # fmt: skip
