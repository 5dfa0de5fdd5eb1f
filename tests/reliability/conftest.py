"""Prints the measured figure of each row of the reliability table, in one place at the end of the run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.reliability.scale import Figure


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note a row's measured figure, with the seconds since the test began; the summary prints it as `ROW n: …`."""
    begun = time.perf_counter()

    def note(row: int, text: str) -> None:
        record_property("row", (row, f"ROW {row}: {text} ({time.perf_counter() - begun:.1f} s)"))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that a test of this run noted, by row."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [value for report in reports for name, value in report.user_properties if name == "row"]
    if figures:
        terminalreporter.section("reliability, measured")
        for _, line in sorted(figures, key=lambda figure: figure[0]):
            terminalreporter.write_line(line)
