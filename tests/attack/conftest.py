"""What the attacks share: the service they are made on, and each row's figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.attack.victim import Victim
from tests.faults.standin import StandIn
from tests.reliability.scale import Figure


class StartVictim(Protocol):
    """Starts a service with changed settings, and nearer bounds."""

    def __call__(self, *, bounds: dict[str, Any] | None = None, **changes: str | None) -> Victim: ...


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note a row's measured figure, with the seconds since the test began; the summary prints it as `ROW n: …`."""
    begun = time.perf_counter()

    def note(row: int, text: str) -> None:
        record_property("row", (row, f"ROW {row}: {text} ({time.perf_counter() - begun:.1f} s)"))

    return note


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """One service for all attacks that leave nothing behind but their own users.  Nobody answers as Stripe."""
    running = Victim(tmp_path_factory.mktemp("victim"))
    yield running.await_ready()
    running.stop()


@pytest.fixture
def start_victim(tmp_path: Path) -> Iterator[StartVictim]:
    """Start services of one's own, each with its own database; all are stopped at the end."""
    started: list[Victim] = []

    def start(*, bounds: dict[str, Any] | None = None, **changes: str | None) -> Victim:
        started.append(Victim(tmp_path / f"victim{len(started)}", bounds=bounds, **changes))
        return started[-1].await_ready()

    yield start
    for running in started:
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
    running = Victim(tmp_path_factory.mktemp("shop"), STRIPE_API_BASE=stripe_side.url).await_ready()
    until = time.monotonic() + 30
    while not all("amount" in plan for plan in running.get("/plans").json()["items"]):
        assert time.monotonic() < until, running.said()
        time.sleep(0.05)
    yield running
    running.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure by row; where other rooms with figures run too, one summary prints them all."""
    tests = Path(__file__).parents[1]
    others = {str(tests / room / "conftest.py") for room in ("reliability", "faults")}
    if others & {getattr(plugin, "__file__", None) for plugin in terminalreporter.config.pluginmanager.get_plugins()}:
        return
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [value for report in reports for name, value in report.user_properties if name == "row"]
    if figures:
        terminalreporter.section("reliability, measured")
        for _, line in sorted(figures, key=lambda figure: figure[0]):
            terminalreporter.write_line(line)
