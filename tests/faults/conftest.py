"""What the tests of faults share: the stand-in Stripe, processes that are killed, and each row's figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Nursery
from tests.faults.standin import StandIn
from tests.reliability.scale import Figure


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note a row's measured figure, with the seconds since the test began; the summary prints it as `ROW n: …`."""
    begun = time.perf_counter()

    def note(row: int, text: str) -> None:
        record_property("row", (row, f"ROW {row}: {text} ({time.perf_counter() - begun:.1f} s)"))

    return note


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A stand-in Stripe of the test's own, which calls no webhook by itself."""
    running = StandIn()
    yield running
    running.close()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Where services are born that die at a named step; all are gone at the end."""
    running = Nursery(tmp_path)
    yield running
    running.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure by row; where `tests/reliability` runs too, its own summary prints these as well."""
    summaries = {getattr(plugin, "__file__", None) for plugin in terminalreporter.config.pluginmanager.get_plugins()}
    if str(Path(__file__).parents[1] / "reliability" / "conftest.py") in summaries:
        return
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [value for report in reports for name, value in report.user_properties if name == "row"]
    if figures:
        terminalreporter.section("reliability, measured")
        for _, line in sorted(figures, key=lambda figure: figure[0]):
            terminalreporter.write_line(line)
