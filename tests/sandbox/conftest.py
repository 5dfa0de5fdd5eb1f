"""Fixtures of the sandbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A world with a price and an endpoint; at the end every event of it is validated."""
    made = Bench()
    yield made
    made.check_events()
