"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import pytest

from tests.sandbox.bench import Bench


@pytest.fixture
def bench() -> Bench:
    """A world with a price and an endpoint."""
    return Bench()
