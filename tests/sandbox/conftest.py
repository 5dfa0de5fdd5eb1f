"""Fixtures of the sandbox's tests, and the counts at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.bench import Bench
from tests.sandbox.schemas import tally

cli_lines: list[str] = []


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A world with a price and an endpoint; at the end every event of it is validated."""
    made = Bench()
    yield made
    made.check_events()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was validated, and what the official CLI could play."""
    if tally:
        terminalreporter.section("sandbox: validated against Stripe's schemas")
        for name, count in sorted(tally.items()):
            terminalreporter.write_line(f"{count:7d}  {name}")
    for line in cli_lines:
        terminalreporter.write_line(line)
