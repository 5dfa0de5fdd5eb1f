"""A real service beside a small truthful Stripe, and how a subscription's life is played to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.kit.bodies import MONTH, NEWEST, Life, Line, Obj, Sub, fresh
from tests.kit.service import Service
from tests.kit.settings import environment
from tests.kit.stripe import StandIn

SETTLED_WITHIN = 3.0
"""`pending` is settled within 3 s while Stripe answers."""


@dataclass
class Played:
    """One user, one subscription, one service: what happens at Stripe is so first, then told, then read back."""

    service: Service
    stripe: StandIn
    life: Life
    user: str
    at: int = field(default_factory=lambda: int(time.time()) - 3_600)
    outcomes: list[str] = field(default_factory=list[str])

    def deliver(self, *events: Obj) -> list[str]:
        """Deliver what is told; returns the outcomes."""
        self.stripe.is_now(self.life.sub)
        outcomes: list[str] = []
        for told in events:
            answer = self.service.deliver(told)
            assert answer.status_code == 200, answer.text
            assert answer.json()["id"] == told["id"]
            outcomes.append(answer.json()["outcome"])
        self.outcomes += outcomes
        return outcomes

    def state(self) -> Obj:
        """Read the user's state now."""
        answer = self.service.get("/subscription", self.user)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self) -> list[Obj]:
        """Read the user's decisions, oldest first."""
        return self.service.get("/subscription/history?limit=100", self.user).json()["items"][::-1]

    def settled(self, within: float = SETTLED_WITHIN) -> Obj:
        """Wait until every pending event is decided, then read the state."""
        until = time.monotonic() + within
        while True:
            last = {entry["event_id"]: entry["outcome"] for entry in self.history() if entry["event_id"]}
            waiting = [event_id for event_id, outcome in last.items() if outcome == "pending"]
            if not waiting:
                return self.state()
            assert time.monotonic() < until, f"{waiting} not settled within {within} s: {self.history()}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def stripe_truth() -> Iterator[StandIn]:
    """One Stripe for all lives: each has ids of its own."""
    truth = StandIn()
    yield truth
    truth.close()


@pytest.fixture(scope="session")
def engine_service(stripe_truth: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all lives."""
    running = Service(environment(tmp_path_factory.mktemp("lives"), STRIPE_API_BASE=stripe_truth.url))
    running.start()
    yield running
    running.stop()


class Play:
    """Begins lives."""

    def __init__(self, service: Service, stripe: StandIn) -> None:
        self.service = service
        self.stripe = stripe

    def __call__(self, status: str = "active", *, version: str = NEWEST, user: str = "", **changes: Any) -> Played:
        """Return a life that nobody has told of yet; its subscription was created an hour ago."""
        begun = int(time.time()) - 3_600
        user = user or fresh("u")
        given: Obj = {
            "id": fresh("sub"), "customer": fresh("cus"), "status": status, "created": begun, "user": user,
            "lines": (Line(ends=begun + MONTH),), "latest_invoice": fresh("in"),
        }  # fmt: skip
        return Played(self.service, self.stripe, Life(Sub(**(given | changes)), version), user, at=begun)


@pytest.fixture
def play(engine_service: Service, stripe_truth: StandIn) -> Play:
    return Play(engine_service, stripe_truth)
