"""Deliveries as a schedule, and mischief by the seed. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.api.sandbox.core.outbox import GIVE_UP_AFTER, RETRY_AFTER, Outbox
from tests.sandbox.bench import NOW, Bench

Obj = dict[str, Any]


def event(n: int) -> Obj:
    """An event, as far as the outbox looks."""
    return {"id": f"evt_{n}", "type": "invoice.paid"}


@pytest.mark.parametrize("status", [None, 199, 301, 302, 400, 404, 500, 503])
def test_failures_are_tried_again(status: int | None) -> None:
    """No answer, and every answer that is not 2xx, redirects too, is tried again after the stated waits."""
    box = Outbox()
    box.add(event(1), "we_1", 0)
    now, waits = 0.0, list[float]()
    while box.pending:
        (delivery,) = box.pending.values()
        assert box.due(delivery.due - 0.01) == []
        waits.append(delivery.due - now)
        now = delivery.due
        assert not box.done(delivery, now, status)
    assert waits[1:] == list(RETRY_AFTER)[: len(waits) - 1]
    assert GIVE_UP_AFTER - 86_400 < now <= GIVE_UP_AFTER
    assert box.log[-1]["attempt"] == len(waits)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_taken(status: int) -> None:
    """Any 2xx is the end of it."""
    box = Outbox()
    box.add(event(1), "we_1", 0)
    assert box.done(box.due(0)[0], 0, status)
    assert not box.pending


def run(seed: int, **chances: float) -> list[tuple[float, str]]:
    """What is due when, of a hundred events."""
    box = Outbox()
    box.set_mischief({"seed": seed, **chances})
    for n in range(100):
        box.add(event(n), "we_1", n)
    return [(d.due, d.event) for d in box.due(10_000)]


def test_mischief_is_seeded() -> None:
    """The same seed, the same sequence; another seed, another."""
    chances = {"duplicate": 0.3, "reorder": 0.3, "delay": 0.3, "drop": 0.3}
    assert run(5, **chances) == run(5, **chances) != run(6, **chances)


def test_each_mischief() -> None:
    """Nothing by default; each kind does its own."""
    plain = [(float(n), f"evt_{n}") for n in range(100)]
    assert run(1) == plain
    assert run(1, drop=1) == []
    assert len(run(1, duplicate=1)) == 200
    assert [e for _, e in run(1, reorder=1)] != [e for _, e in plain]
    assert max(due - n for n, (due, _) in zip(range(100), run(1, delay=1), strict=True)) > 10


def test_twins() -> None:
    """A second Event object tells of the same change under another id, and is delivered too."""
    bench = Bench()
    bench.world.outbox.set_mischief({"twin": 1, "seed": 3})
    bench.news()
    bench.subscribe()
    told = bench.news("customer.subscription.created")
    assert len(told) == 2
    assert told[0]["data"] == told[1]["data"]
    assert told[0]["id"] != told[1]["id"]
    due = [d.event for d in bench.world.outbox.due(NOW)]
    assert {e["id"] for e in told} <= set(due)


def test_a_jump_of_the_clock_hurries_retries() -> None:
    """What waits for its retry goes out at once when somebody turned the clock."""
    box = Outbox()
    box.add(event(1), "we_1", 0)
    box.done(box.due(0)[0], 0, 500)
    assert box.due(0) == []
    box.hurry(0)
    assert len(box.due(0)) == 1
