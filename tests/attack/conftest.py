"""What the attacks share: the service they are made on, and each row's figure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.attack.victim import Victim
from tests.kit.stripe import StandIn


class StartVictim(Protocol):
    """Starts a service with changed settings, and nearer bounds."""

    def __call__(self, *, bounds: dict[str, Any] | None = None, **changes: str | None) -> Victim: ...


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """One service for all attacks that leave nothing behind but their own users.  Nobody answers as Stripe."""
    running = Victim(tmp_path_factory.mktemp("victim"))
    yield running.start()
    running.stop()


@pytest.fixture
def start_victim(tmp_path: Path) -> Iterator[StartVictim]:
    """Start services of one's own, each with its own database; all are stopped at the end."""
    started: list[Victim] = []

    def start(*, bounds: dict[str, Any] | None = None, **changes: str | None) -> Victim:
        started.append(Victim(tmp_path / f"victim{len(started)}", bounds=bounds, **changes))
        return started[-1].start()

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A service whose bounds are near enough to be reached, and whose operators' routes are closed."""
    bounds = {"burst": 10, "waiting": 8, "connections": 60, "head": 1.5, "body": 1.0, "message": 1.5}
    running = Victim(tmp_path_factory.mktemp("cramped"), bounds=bounds, ADMIN_TOKEN=None)
    yield running.start()
    running.stop()


@pytest.fixture(scope="session")
def stripe_side() -> Iterator[StandIn]:
    """A stand-in Stripe that counts each call."""
    running = StandIn()
    yield running
    running.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, stripe_side: StandIn) -> Iterator[Victim]:
    """A service beside the stand-in Stripe; it has learned its prices, so it asks nothing by itself any more."""
    running = Victim(tmp_path_factory.mktemp("shop"), STRIPE_API_BASE=stripe_side.url).start()
    until = time.monotonic() + 30
    while not all("amount" in plan for plan in running.get("/plans").json()["items"]):
        assert time.monotonic() < until, running.said()
        time.sleep(0.05)
    yield running
    running.stop()
