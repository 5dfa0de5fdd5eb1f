"""What happens in a simulated world, and how bad it is: drawn from a seed, and small enough to be read."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from tests.reliability.stripe_world import DAY, DEEDS

USERS: Final = 2


class Happening(msgspec.Struct, frozen=True):
    """At `at` virtual seconds: a user's deed by its number; or `clock` moves on, `crash`, `sweep`."""

    at: float
    what: str
    user: int = 0
    deed: int = 0
    seconds: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens, and how bad the world is: chances of loss, replay, delay, twins, and of a fault at any step."""

    seed: int
    happenings: tuple[Happening, ...]
    lost: float
    replayed: float
    delayed: float
    twins: float
    faults: float


def plan_of(seed: int) -> Plan:
    """Draw a plan from a seed, within the table's bounds: ≤ 30 % loss, ≤ 50 % replay, ≤ 10 % faults."""
    rng = random.Random(f"plan/{seed}")
    happenings: list[Happening] = []
    at = 0.5
    for number in range(rng.randrange(6, 15)):
        at += rng.choice((0.0, 0.0, 0.3, 1.0, 4.0, 11.0))
        kind = rng.random()
        if number < USERS:
            happenings.append(Happening(at, "deed", number, 0))
        elif kind < 0.65:
            happenings.append(Happening(at, "deed", rng.randrange(USERS), rng.randrange(len(DEEDS))))
        elif kind < 0.8:
            happenings.append(Happening(at, "clock", seconds=rng.choice((60, 3700, DAY, 15 * DAY, 31 * DAY))))
        else:
            happenings.append(Happening(at, rng.choice(("crash", "crash", "sweep"))))
    bad = rng.random()
    return Plan(
        seed=seed,
        happenings=tuple(happenings),
        lost=0.3 * rng.random() * bad,
        replayed=0.5 * rng.random(),
        delayed=rng.random(),
        twins=0.5 * rng.random(),
        faults=0.1 * rng.random() * bad,
    )


class Broken(Exception):
    """An invariant does not hold, or the end is wrong.  `trace` tells how it came to it."""

    def __init__(self, what: str, trace: list[str]) -> None:
        super().__init__(what)
        self.what = what
        self.trace = trace
