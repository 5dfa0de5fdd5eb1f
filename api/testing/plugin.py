"""The pytest plugin: async fixtures for tests of what people buy, pay, miss and cancel, over months.

It is installed with the package and does nothing until a test asks for one of its fixtures:

`stripe`      a stand-in Stripe in this process that sells PLANS_FILE: `await stripe.advance(days=31)`,
              `decline_next()`, `require_action()`, `pay(session_id)`, `settle()`
`interlock`   the engine beside it, on its clock, with a database of the test's own
`subscribed`  `await subscribed(user, plan)`: buys a plan as a user would, and returns their state

The tests' event loop is pytest-asyncio's where that is enabled, else anyio's (`@pytest.mark.anyio`), which comes with
the package; its backend must be asyncio.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from interlock.api.testing.standin import StandIn
    from interlock.engine import Interlock


async def stripe() -> AsyncGenerator[StandIn]:
    """A stand-in Stripe in this process."""
    from interlock.api.testing.standin import plans_file, standin

    async with standin(plans_file()) as running:
        yield running


async def interlock(stripe: StandIn, tmp_path: Path) -> AsyncGenerator[Interlock]:
    """The engine, with the stand-in as its Stripe."""
    from interlock.api.testing.standin import service

    async with service(stripe, tmp_path) as engine:
        yield engine


async def subscribed(stripe: StandIn, interlock: Interlock) -> Callable[..., Awaitable[Any]]:
    """Buys a plan for a user and returns their state."""

    async def subscribe(user: str, plan: str, *, card: str | None = None, **choices: Any) -> Any:
        session = await interlock.checkout(user, plan=plan, **choices)
        await (stripe.pay(session.id) if card is None else stripe.pay(session.id, card))
        return await interlock.state(user)

    return subscribe


FIXTURES = (stripe, interlock, subscribed)


def pytest_configure(config: pytest.Config) -> None:
    """Offer the fixtures, made for the plugin that runs this session's async tests."""
    fixture: Any = pytest.fixture
    if config.pluginmanager.hasplugin("asyncio"):
        import pytest_asyncio

        fixture = pytest_asyncio.fixture
    offered = ModuleType("interlock_fixtures")
    for function in FIXTURES:
        setattr(offered, function.__name__, fixture(function))
    config.pluginmanager.register(offered, "interlock-fixtures")
