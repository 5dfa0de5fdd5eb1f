"""Makes a failing plan as small as it fails with, so that a person can read what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tests.reliability.plans import Broken, Plan
from tests.reliability.simulation import Simulation

CHANCES = ("faults", "lost", "replayed", "twins", "delayed")


def failure_of(plan: Plan) -> Broken | None:
    """Run a plan; return how it fails, None where it does not."""
    try:
        Simulation(plan).run()
    except Broken as broken:
        return broken
    return None


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans that are a step smaller: a calmer world, fewer happenings, then less time between them."""
    for name in CHANCES:
        if getattr(plan, name):
            yield replace(plan, **{name: 0.0})
    count = len(plan.happenings)
    size = count // 2
    while size:
        for begin in range(0, count, size):
            yield replace(plan, happenings=(*plan.happenings[:begin], *plan.happenings[begin + size :]))
        size //= 2


def shrink(plan: Plan, fails: Callable[[Plan], Broken | None] = failure_of, most: int = 200) -> Plan:
    """Return the smallest plan found that still fails; at most so many runs."""
    runs = 0
    again = True
    while again and runs < most:
        again = False
        for smaller in _smaller(plan):
            runs += 1
            if fails(smaller) is not None:
                plan, again = smaller, True
                break
            if runs >= most:
                break
    return plan


def story(plan: Plan, broken: Broken) -> str:
    """Tell a failing plan: its seed, how bad the world is, what happened, and what went wrong."""
    chances = (
        ", ".join(f"{name} {getattr(plan, name):.2f}" for name in CHANCES if getattr(plan, name)) or "a calm world"
    )
    return "\n".join((f"seed {plan.seed}, {chances}:", *broken.trace, f"✗ {broken.what}"))
