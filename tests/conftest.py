"""What every test may use: a real service on a real socket, signed events, users' tokens.  No mocks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from interlock.api.sandbox import World
from tests.kit import counts, figures
from tests.kit.scale import Figure
from tests.kit.service import Service, StartService
from tests.kit.settings import environment
from tests.sandbox.watch import Watch, misfits

# The same examples in every run, and no bound on their time: a busy machine is no failure of the code's.
settings.register_profile(
    "house", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

_BEGUN: Final = time.monotonic()


_LONG: Final = ("the_code_is_clean", "test_kill.py", "worlds_end", "mutant_is_caught", "test_soak.py", "stripe_is_gone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: no worker is left alone with one at the end."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in _LONG))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that leave nothing behind but their own users."""
    running = Service(environment(tmp_path_factory.mktemp("service")))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start services of one's own; each is stopped at the end."""
    started: list[Service] = []

    def start(**changes: str | None) -> Service:
        running = Service(environment(tmp_path, **changes))
        started.append(running)
        running.start()
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def new_user() -> Callable[[], str]:
    """Name users that no other test has."""
    return lambda: f"u_{os.urandom(6).hex()}"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note a row's measured figure, with the seconds since the test began; the summary prints it as `ROW n: …`."""
    begun = time.perf_counter()

    def note(row: int, text: str) -> None:
        record_property("row", (row, f"ROW {row}: {text} ({time.perf_counter() - begun:.1f} s)"))

    return note


@pytest.fixture(scope="session", autouse=True)
def watched() -> Iterator[None]:
    """Every stand-in Stripe in this process is watched, from the first test to the end of the last."""
    World.observer = Watch()
    yield
    World.observer = None
    assert not misfits, misfits


@pytest.fixture(autouse=True)
def all_fit(watched: None) -> Iterator[None]:
    """What a stand-in answered or emitted during a test is what Stripe would send."""
    yield
    found = misfits.copy()
    misfits.clear()
    assert not found, "\n".join(found[:5])


@pytest.fixture
def misfits_meant() -> Iterator[None]:
    """For a test that spoils the stand-in's objects, or asks what no client would: what misfits is only counted."""
    yield
    counts.unheld["bodies that do not fit, as was meant"] += len(misfits)
    misfits.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker process, hand what was counted to the run that started it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output.update(validated=dict(counts.validated), unheld=dict(counts.unheld), told=counts.told)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker process counted."""
    output: dict[str, Any] = getattr(node, "workeroutput", {})
    counts.validated.update(output.get("validated", {}))
    counts.unheld.update(output.get("unheld", {}))
    counts.told.extend(output.get("told", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that a test of this run noted, by row of `tests/README.md`."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    noted = [value for report in reports for name, value in report.user_properties if name == "row"]
    if os.environ.get("INTERLOCK_WRITE_FIGURES") == "1":
        figures.write(noted, time.monotonic() - _BEGUN)
    lines = [line for _, line in sorted(noted, key=lambda figure: figure[0])] + counts.told
    lines += [f"validated against Stripe's schemas: {n} {name}" for name, n in sorted(counts.validated.items())]
    lines += [f"not validated: {n} {name}" for name, n in sorted(counts.unheld.items())]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
