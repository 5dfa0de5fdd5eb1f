"""The quick check of Stripe's schemas says what `jsonschema` says."""

from __future__ import annotations

import copy
import random
from typing import Any, cast

import pytest

from tests.sandbox.bench import Bench
from tests.sandbox.schemas import check, fits, validator

Obj = dict[str, Any]
MUTANTS = 12
STRANGE: list[Any] = [None, "", "no such value", 1, True, [], {}, [1], {"a": 1}]


def bodies() -> dict[str, Obj]:
    """One object of each kind that a short life makes."""
    bench = Bench()
    coupon = bench.post("coupons", {"percent_off": 10})
    sub = bench.subscribe(trial_period_days=3, discounts=[{"coupon": coupon["id"]}])
    bench.wait(4 * 86_400)
    bench.post("billing_portal/sessions", {"customer": sub["customer"]})
    bench.post("setup_intents", {"customer": sub["customer"]})
    tables = bench.world.tables.items()
    found = {kind: next(iter(table.values())) for kind, table in tables if kind not in ("charge", "invoiceitem")}
    return copy.deepcopy(found)


def places(body: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a body."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(body, dict):
        pairs = list(cast("Obj", body).items())
    elif isinstance(body, list):
        pairs = list(enumerate(cast("list[Any]", body)))
    found: list[tuple[Any, ...]] = []
    for key, value in pairs:
        found += [(*way, key), *places(value, (*way, key))]
    return found


def mutant(body: Obj, dice: random.Random) -> Obj:
    """The body with one value changed for another, or gone."""
    changed = copy.deepcopy(body)
    *way, last = dice.choice(places(changed))
    holder: Any = changed
    for key in way:
        holder = holder[key]
    if dice.random() < 0.3:
        del holder[last]
    else:
        holder[last] = dice.choice(STRANGE)
    return changed


def test_the_quick_check_agrees_with_jsonschema() -> None:
    """Of each kind of object a true one fits, and both checks say the same of changed ones."""
    dice = random.Random(3)
    refused = 0
    found = bodies()
    assert len(found) > 12, sorted(found)
    for kind, body in found.items():
        assert fits(kind)(body), kind
        for each in [body, *(mutant(body, dice) for _ in range(MUTANTS))]:
            truth = validator(kind).is_valid(each)  # pyright: ignore[reportUnknownMemberType]
            assert fits(kind)(each) is truth, (kind, each)
            refused += not truth
    assert refused > 30


def test_what_does_not_fit_is_named() -> None:
    """A body that Stripe would not send fails with the place and the reason."""
    bench = Bench()
    invoice = bench.latest(bench.subscribe())
    with pytest.raises(AssertionError, match="status: 'settled' is not valid"):
        check(invoice | {"status": "settled"})
