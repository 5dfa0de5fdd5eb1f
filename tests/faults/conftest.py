"""What the tests of faults share: the stand-in Stripe, processes that are killed, and each row's figure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.processes import Nursery
from tests.kit.stripe import StandIn


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A stand-in Stripe of the test's own, which calls no webhook by itself."""
    running = StandIn()
    yield running
    running.close()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where services are born that die at a named step; all are gone at the end."""
    running = Nursery(tmp_path_factory.mktemp("nursery"))
    yield running
    running.close()
