"""What a quantity of a price costs: by the unit, in packages, by tiers; exact until the end, then rounded half up."""

from __future__ import annotations

from fractions import Fraction

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.ledger import Ledger


def amount_of(w: Ledger, price: Obj, quantity: Fraction | int) -> int:
    """The amount in the minor unit."""
    return int((exactly(w, price, quantity) + Fraction(1, 2)).__floor__())


def exactly(w: Ledger, price: Obj, quantity: Fraction | int) -> Fraction:
    """The amount before it is rounded."""
    count = Fraction(quantity)
    if packages := price.get("transform_quantity"):
        whole = count / int(packages["divide_by"])
        count = Fraction(whole.__ceil__() if packages["round"] == "up" else whole.__floor__())
    if price.get("billing_scheme") == "tiered":
        tiers: list[Obj] = w.notes.get(price["id"], NOTHING).get("tiers", EMPTY)
        return (_volume if price["tiers_mode"] == "volume" else _graduated)(tiers, count)
    return _each(price, "unit_amount") * count


def _each(owner: Obj, name: str) -> Fraction:
    return Fraction(str(owner.get(f"{name}_decimal") or owner.get(name) or 0))


def _volume(tiers: list[Obj], count: Fraction) -> Fraction:
    """All at the price of the tier in which the last one lies."""
    tier = next(tier for tier in tiers if tier["up_to"] is None or count <= tier["up_to"])
    return _each(tier, "unit_amount") * count + _each(tier, "flat_amount")


def _graduated(tiers: list[Obj], count: Fraction) -> Fraction:
    """Each at the price of its own tier; the first tier's flat amount is billed for nothing too."""
    total, below = Fraction(0), Fraction(0)
    for n, tier in enumerate(tiers):
        if n and count <= below:
            break
        top = count if tier["up_to"] is None else min(count, Fraction(tier["up_to"]))
        total += _each(tier, "unit_amount") * (top - below) + _each(tier, "flat_amount")
        below = top if tier["up_to"] is None else Fraction(tier["up_to"])
    return total


# -- tiers of a new price --------------------------------------------------------------------------


def tiers_of(p: Obj) -> list[Obj]:
    """The tiers that a request gives, checked: ascending, the last without an end."""
    if not p.get("tiers"):
        raise missing("tiers")
    if not p.get("tiers_mode"):
        raise missing("tiers_mode")
    if "unit_amount" in p or "unit_amount_decimal" in p:
        raise invalid("You may not specify `unit_amount` when `billing_scheme=tiered`.", "unit_amount")
    tiers = [_tier(each, n) for n, each in enumerate(p["tiers"])]
    ends = [tier["up_to"] for tier in tiers]
    if ends[-1] is not None:
        raise invalid("The last tier must have `up_to` set to `inf`.", f"tiers[{len(ends) - 1}][up_to]")
    if None in ends[:-1] or ends[:-1] != sorted(set(ends[:-1])):
        raise invalid("The tiers must have ascending `up_to` values.", "tiers")
    return tiers


def _tier(given: Obj, n: int) -> Obj:
    tier: Obj = {"up_to": None if given["up_to"] == "inf" else int(given["up_to"])}
    for name in ("flat_amount", "unit_amount"):
        exact = given.get(f"{name}_decimal")
        whole = given.get(name)
        tier[name] = whole
        tier[f"{name}_decimal"] = exact or (None if whole is None else str(whole))
    if all(tier[name] is None for name in ("flat_amount_decimal", "unit_amount_decimal")):
        raise invalid("A tier needs a `unit_amount` or a `flat_amount`.", f"tiers[{n}]")
    return tier


def _tiers(w: Ledger, price: Obj) -> list[Obj]:
    return list(w.notes.get(price["id"], NOTHING).get("tiers", EMPTY))


INCLUDES = {("price", "tiers"): _tiers}
