"""The mission's five webhooks in any order, twice, in three API versions, end where Stripe is."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interlock.engine.core.view import rfc3339
from tests.kit import hose
from tests.kit.bodies import MONTH, NEWEST, OLDEST, Life, Line, Obj, Sub, body_of, fresh
from tests.kit.process import Process
from tests.kit.scale import NIGHTLY, Figure
from tests.kit.settings import environment, make_token, sign
from tests.kit.stripe import StandIn

VERSIONS = (OLDEST, "2024-04-10", NEWEST)
SENDERS = 16
SETTLED_WITHIN = 20.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Process, StandIn]]:
    """A service of its own, in a process of its own, beside a truthful Stripe."""
    stripe = StandIn()
    process = Process(environment(tmp_path, STRIPE_API_BASE=stripe.url), tmp_path / "log").start()
    yield process, stripe
    process.close()
    stripe.close()


def born(version: str, begun: int) -> Life:
    sub = Sub(
        id=fresh("sub"), customer=fresh("cus"), status="incomplete", created=begun, user=fresh("u"),
        lines=(Line(ends=begun + MONTH),), latest_invoice=fresh("in"),
    )  # fmt: skip
    return Life(sub, version)


def ended(version: str, begun: int, gap: int) -> Life:
    """Created, its payment fails, it is paid after all, and canceled: every one of the five types once."""
    life = born(version, begun)
    life.create()
    life.bill("payment_failed", begun + gap, status="open", attempts=1, created=begun)
    life.update(begun + 2 * gap, status="active")
    life.bill("paid", begun + 2 * gap, status="paid", attempts=2, created=begun)
    life.end(begun + 3 * gap)
    return life


def recovered(version: str, begun: int, gap: int) -> Life:
    """The same subscription, never canceled, and one update more: the end has to be found among the living."""
    life = born(version, begun)
    life.create()
    life.bill("payment_failed", begun + gap, status="open", attempts=1, created=begun)
    life.update(begun + 2 * gap, status="active")
    life.bill("paid", begun + 2 * gap, status="paid", attempts=2, created=begun)
    life.update(begun + 3 * gap, cancel_at=begun + MONTH)
    return life


def play(port: int, life: Life, order: Sequence[int]) -> Counter[str]:
    """Deliver a life's events in an order, and all of them again."""
    outcomes: Counter[str] = Counter()
    with hose.Line(port) as line:
        for again in (False, True):
            for number in order:
                body = body_of(life.told[number])
                line.send(hose.webhook(body, sign(body)))
                answer = line.answer()
                assert answer.status == 200, answer
                outcome = answer.json()["outcome"]
                assert (outcome == "duplicate") is again
                outcomes[outcome] += 1
    return outcomes


def read(line: hose.Line, path: str, user: str) -> Any:
    """Read as a user."""
    line.send(hose.ask("GET", path, f"Authorization: Bearer {make_token(user)}"))
    return line.answer().json()


def settled(line: hose.Line, user: str, until: float) -> tuple[Obj, list[Obj]]:
    """Wait until nothing is pending; returns the state and the history."""
    while True:
        history: list[Obj] = read(line, "/subscription/history?limit=100", user)["items"]
        last = {entry["event_id"]: entry["outcome"] for entry in reversed(history)}
        if "pending" not in last.values():
            return read(line, "/subscription", user), history
        assert time.monotonic() < until, history
        time.sleep(0.1)


def test_any_order_twice_ends_right(running: tuple[Process, StandIn], figure: Figure) -> None:
    """All 120 permutations, each event twice, the API versions in turn: the state is Stripe's, field by field.

    Of a life that is not ended, where no event can settle the order by being the last word.  At night of one that
    is ended too, and both in every version.
    """
    process, stripe = running
    begun = int(time.time()) - 7_200
    orders = list(enumerate(itertools.permutations(range(5))))
    lives = [(recovered(VERSIONS[n % 3], begun, 60 * (n % 2)), order) for n, order in orders]
    if NIGHTLY:
        every = itertools.product((ended, recovered), VERSIONS, orders)
        lives = [(story(version, begun, 60 * (n % 2)), order) for story, version, (n, order) in every]
    stripe.is_now(*(life.sub for life, _ in lives))
    with ThreadPoolExecutor(SENDERS) as pool:
        outcomes = sum(pool.map(play, itertools.repeat(process.port), *zip(*lives, strict=True)), Counter[str]())
    until = time.monotonic() + SETTLED_WITHIN
    with hose.Line(process.port) as line:
        for life, order in lives:
            check(line, life, order, until)
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    figure(4, f"{len(lives)} lives over HTTP, {outcomes.total()} webhooks in every order: {told}")


def check(line: hose.Line, life: Life, order: Sequence[int], until: float) -> None:
    """The state is Stripe's, and no event was applied twice."""
    state, history = settled(line, life.sub.user or "", until)
    sub = life.sub
    shown = (state["state"], state["subscription_id"], state["cancel_at"], state["current_period_end"])
    assert shown == (sub.status, sub.id, rfc3339(sub.cancel_at), rfc3339(sub.created + MONTH)), (order, history)
    assert state["access"]["granted"] is (sub.status == "active")
    applied = Counter(entry["event_id"] for entry in history if entry["outcome"] == "applied" and entry["event_id"])
    assert max(applied.values()) == 1, "never two `applied` for one event"
    entries = Counter(entry["event_id"] for entry in history if entry["event_id"])
    assert max(entries.values()) <= 2
