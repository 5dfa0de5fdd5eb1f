"""Stripe's events, spoiled: at one place of their structure, at one byte, or beyond all form.  All from one seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from tests.kit.bodies import DAY, T0, VERSIONS, Bill, Life, Obj, Sub, customer, event, session

Place: TypeAlias = tuple[Any, Any]
"""A dict or list, and the key of one value in it."""

ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 5e-324, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30,
    10**400, 253_402_300_799, 253_402_300_800, float("nan"), float("inf"), float("-inf"), "", " ", "0", "null", "true",
    "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "é" * 200, "x" * 255, "x" * 256, "x" * 6000, "𝒳" * 255,
    "'; DROP TABLE event; --", "../../etc/passwd", "%00", "{}", "[]", "<script>", "sub_1", "cus_1", "evt_1", "u_1",
    "active", "canceled", "frozen", "ACTIVE", "none", "incomplete_expired", "2026-11-24T00:00:00Z",
    [], {}, [[]], [None], [{}], {"": ""}, {"id": None}, {"id": ""}, {"id": "sub_1"}, {"id": {"id": "sub_1"}},
    {"data": None}, {"data": [None]}, {"user_id": None}, {"user_id": 5}, {"user_id": ["u_1"]}, {"deleted": "yes"},
)  # fmt: skip
TYPES: Final = (
    "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
    "customer.subscription.paused", "customer.subscription.resumed", "customer.subscription.trial_will_end",
    "customer.subscription.nonsense", "invoice.paid", "invoice.payment_failed", "invoice.voided", "invoice.overdue",
    "checkout.session.completed", "checkout.session.expired", "customer.created", "customer.updated",
    "customer.deleted", "entitlements.active_entitlement_summary.updated", "product.created", "v2.core.event",
)  # fmt: skip


def herd() -> list[Obj]:
    """Return one of each kind of event in each of Stripe's shapes."""
    found: list[Obj] = []
    for version in VERSIONS:
        life = Life(Sub(), version=version)
        life.create()
        life.update(T0 + 5, status="past_due", cancel_at_period_end=True)
        life.update(T0 + 6, pause_collection={"behavior": "void", "resumes_at": T0 + DAY}, trial_end=T0 + DAY)
        life.bill("payment_failed", T0 + 7, status="open", attempts=1, failure_code="insufficient_funds")
        life.bill("paid", T0 + 8, status="paid")
        life.end(T0 + 9)
        found += life.told
        found.append(event("checkout.session.completed", session(), version=version))
        found.append(event("customer.updated", customer(user="u_1"), version=version))
        found.append(event("customer.deleted", customer(deleted=True), version=version))
        found.append(event("invoice.overdue", Bill(finalized_at=T0).json(version), version=version))
        of = {"object": "entitlements.active_entitlement_summary", "customer": "cus_1"}
        found.append(event("entitlements.active_entitlement_summary.updated", of, version=version))
    return found


HERD: Final = tuple(json.dumps(told) for told in herd())


def places(tree: Obj) -> list[Place]:
    """Return where every value within is held."""
    found: list[Place] = []
    waiting: list[Any] = [tree]
    holder: Any
    while waiting:
        holder = waiting.pop()
        inner = cast("Obj", holder).items() if isinstance(holder, dict) else enumerate(cast("list[Any]", holder))
        for key, value in inner:
            found.append((cast("Any", holder), key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


DONORS: Final = tuple(json.dumps(holder[key]) for told in HERD for holder, key in places(json.loads(told)))


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(rng.choice(ODD))


def _remove(_: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _transplant(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = json.loads(rng.choice(DONORS))


def _wrap(rng: random.Random, holder: Any, key: Any) -> None:
    for _ in range(rng.choice((1, 1, 2, 20, 400))):
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"id": holder[key]}


def _multiply(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        many: list[Any] = [cast("Any", holder)[key]] * rng.choice((1, 50, 300))
        cast("list[Any]", holder).extend(many)
    else:
        holder[str(key).upper()] = holder[key]


def _as_text(_: random.Random, holder: Any, key: Any) -> None:
    holder[key] = str(holder[key])


CHANGES: Final[tuple[Callable[[random.Random, Any, Any], None], ...]] = (
    _replace, _replace, _replace, _replace, _remove, _remove, _transplant, _wrap, _multiply, _as_text,
)  # fmt: skip


def _spoil_bytes(rng: random.Random, body: bytes) -> bytes:
    """Spoil the text itself: what no program that writes JSON would send."""
    place = rng.randrange(len(body))
    many = rng.choice((1, 10, 500, 5000, 100_000))
    return rng.choice(
        (
            lambda: body[:place],
            lambda: body[:place] + bytes([rng.randrange(256)]) + body[place + 1 :],
            lambda: body[:place] + rng.randbytes(rng.randrange(1, 9)) + body[place:],
            lambda: b"\xef\xbb\xbf" + body,
            lambda: body + b"\0",
            lambda: body + body,
            lambda: body.decode("utf-8", "replace").encode("utf-16"),
            lambda: b'{"id": "evt_first", "id": "evt_second",' + body[1:],
            lambda: body[:-1] + b', "type": "customer.subscription.created", "data": null}',
            lambda: body[:place] + b"[" * many + body[place:],
            lambda: body[:-1] + b', "account": ' + b"[" * min(many, 5000) + b"]" * min(many, 5000) + b"}",
            lambda: body[:-1] + b', "deep": ' + b'{"a":' * min(many, 5000) + b"1" + b"}" * min(many, 5000) + b"}",
            lambda: body[:-1] + b', "long": ' + b"9" * many + b"}",
            lambda: body[:-1] + b', "long": "' + b"\\u0000" * min(many, 5000) + b'"}',
            lambda: body.replace(b": ", b": NaN, ", 1),
            lambda: body.replace(b'"', b"'"),
            lambda: b"[" + body + b"]",
            lambda: rng.randbytes(many % 3000),
        )
    )()


def mutant(seed: int, number: int) -> bytes:
    """Return the body of that seed and number: always the same."""
    rng = random.Random(f"{seed}/{number}")
    name = f"m{rng.randrange(40)}"  # few, so that mutants meet what others left behind
    text = rng.choice(HERD)
    for told in ("sub_1", "cus_1", "u_1", "in_1"):
        text = text.replace(f'"{told}"', f'"{told[:-1]}{name}"')
    tree: Obj = json.loads(text)
    tree["id"] = f"evt_mutant_{seed}_{number}"
    if rng.random() < 0.15:
        tree["type"] = rng.choice(TYPES)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        # Rather within the object than in the envelope, where most of a mutant's body would not be read.
        inside = places(tree["data"] if isinstance(tree.get("data"), dict) and rng.random() < 0.9 else tree)
        if 0 < len(inside) < 5000:
            rng.choice(CHANGES)(rng, *rng.choice(inside))
    raw = json.dumps(tree, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass")
    return _spoil_bytes(rng, raw) if rng.random() < 0.2 else raw
