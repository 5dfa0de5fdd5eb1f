"""Lists as Stripe shows them: pages with cursors, and the filters that many lists have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interlock.api.sandbox.core.errors import Obj, StripeError, invalid

PAGE_DEFAULT, PAGE_MAX = 10, 100


def listed(data: list[Obj], url: str) -> Obj:
    """A list that is shown whole, inside another object."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def paged(found: list[Obj], params: Obj, url: str) -> Obj:
    """One page of `found`, which is in the list's order."""
    limit = int(params.get("limit", PAGE_DEFAULT))
    if not 1 <= limit <= PAGE_MAX:
        raise StripeError(
            400,
            f"This value must be {'less than or equal to 100' if limit > 1 else 'greater than or equal to 1'}.",
            code="parameter_invalid_integer", param="limit",
        )  # fmt: skip
    if "starting_after" in params and "ending_before" in params:
        raise invalid("You can only use one of starting_after and ending_before.", "starting_after")
    more = False
    if "ending_before" in params:
        at = _position(found, str(params["ending_before"]), "ending_before")
        start = max(0, at - limit)
        data, more = found[start:at], start > 0
    else:
        start = 0
        if "starting_after" in params:
            start = _position(found, str(params["starting_after"]), "starting_after") + 1
        data, more = found[start : start + limit], len(found) > start + limit
    return {"object": "list", "data": data, "has_more": more, "url": url}


def _position(found: list[Obj], id_: str, param: str) -> int:
    for at, obj in enumerate(found):
        if obj["id"] == id_:
            return at
    raise invalid(f"No such object: '{id_}'", param, "resource_missing")


def same(obj: Obj, params: Obj, *names: str) -> bool:
    """A list's plain filters: each that is given is what the object says."""
    return all(name not in params or obj[name] == params[name] for name in names)


def in_range(value: int, wanted: Any) -> bool:
    """Stripe's `created` filter: a number, or `gt`/`gte`/`lt`/`lte`."""
    if wanted is None:
        return True
    if not isinstance(wanted, dict):
        return value == int(wanted)
    tests: dict[str, Callable[[int], bool]] = {
        "gt": lambda bound: value > bound,
        "gte": lambda bound: value >= bound,
        "lt": lambda bound: value < bound,
        "lte": lambda bound: value <= bound,
    }
    bounds: Obj = wanted  # pyright: ignore[reportUnknownVariableType]
    return all(tests[name](int(bound)) for name, bound in bounds.items())
