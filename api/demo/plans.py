"""A catalogue with prices: the service's part of it, and what the stand-in Stripe sells."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, cast

from interlock.engine import BadConfiguration, Catalogue, make_catalogue

DEMO: Final = Path(__file__).with_name("plans.toml")
SOLD_AT: Final = ("amount", "amounts", "currency", "interval")
"""What stands beside a price for the stand-in alone; a real service reads it from Stripe."""
_UNPRICED: Final = 1000
"""Minor units that a plan costs, times its place in the file, where the file names no amount."""


def read_plans(path: Path = DEMO) -> tuple[Catalogue, list[dict[str, Any]]]:
    """Return the catalogue of a file, and its plans with what they cost.  Raises BadConfiguration."""
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{path}: {error}") from None
    plans = read.get("plans", {})
    if not isinstance(plans, dict):
        raise BadConfiguration(f"{path}: `plans` must be a table")
    sold: list[dict[str, Any]] = []
    for place, (key, plan) in enumerate(cast("dict[str, Any]", plans).items(), start=1):
        if not isinstance(plan, dict):
            raise BadConfiguration(f"{path}: `plans.{key}` must be a table")
        given = cast("dict[str, Any]", plan)
        priced = {} if {"amount", "amounts"} & given.keys() else {"amount": place * _UNPRICED}
        sold.append({"key": key, **given, **priced})
        for name in SOLD_AT:
            given.pop(name, None)
    return make_catalogue(read), sold
