"""Row 6: whole worlds, each drawn from one seed; at the end, after one sweep, the state equals Stripe's."""

from __future__ import annotations

import pytest

from tests.kit.scale import Figure, first_seed, size
from tests.reliability.neighbours import NEIGHBOURS, in_place
from tests.reliability.plans import Broken, plan_of
from tests.reliability.shrink import failure_of, shrink, story
from tests.reliability.simulation import Simulation


def test_worlds_end_as_stripe_says(figure: Figure) -> None:
    """Loss, replay, reordering, twins, delay, crashes and faults at any step: after one sweep every user is right.

    A failing seed is shrunk to a story; replay it with INTERLOCK_FIRST_SEED=<seed> INTERLOCK_SIMULATION_SEEDS=1.
    """
    seeds = size("SIMULATION_SEEDS", 300, 100_000)
    steps = crashes = happenings = 0
    for seed in range(first_seed(), first_seed() + seeds):
        plan = plan_of(seed)
        simulation = Simulation(plan)
        try:
            simulation.run()
        except Broken:
            smallest = shrink(plan)
            broken = failure_of(smallest)
            assert broken is not None
            pytest.fail(story(smallest, broken))
        steps, crashes = steps + simulation.steps, crashes + simulation.crashes
        happenings += len(plan.happenings)
    figure(6, f"{seeds} seeds, {happenings} happenings, {steps} commits, {crashes} crashes: every user is Stripe's")


def test_a_seed_replays_to_the_same_trace() -> None:
    """The same seed leads to the same trace, line for line, and another seed to another."""
    seeds = range(first_seed() + 1000, first_seed() + 1006)
    first = [Simulation(plan_of(seed)).run() for seed in seeds]
    again = [Simulation(plan_of(seed)).run() for seed in seeds]
    assert first == again
    assert len({tuple(trace) for trace in first}) == len(first)


def test_a_planted_bug_is_found_and_shrunk_to_a_short_story(figure: Figure) -> None:
    """With a weaker rule in place a seed fails, and shrinking tells it in fewer happenings, for the same reason."""
    with in_place(NEIGHBOURS["the payload always wins"]):
        failing = next(plan for plan in map(plan_of, range(300)) if failure_of(plan) is not None)
        smallest = shrink(failing)
        broken = failure_of(smallest)
    assert broken is not None
    told = story(smallest, broken)
    assert len(smallest.happenings) <= 4 < len(failing.happenings), told
    assert failure_of(smallest) is None, "without the planted bug the same world ends well"
    assert told.startswith(f"seed {failing.seed}, ")
    figure(6, f"a planted bug: seed {failing.seed} of {len(failing.happenings)} happenings shrunk to "
              f"{len(smallest.happenings)}, {len(broken.trace)} lines")  # fmt: skip
