"""A shop on either database: users who hold plans, a clock that is turned by hand, and a Stripe that is not there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest

from interlock.engine import Consumed, FeatureAsked, Interlock, UsageEvent, UsageReport
from interlock.engine.config import Config
from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.store import Store
from tests.kit.bodies import MONTH, T0, Life, Line, Obj, Sub, body_of
from tests.kit.clock import Clock
from tests.kit.settings import WEBHOOK_SECRET, sign
from tests.store.conftest import Database, anyio_backend, database, postgres, server, sqlite

__all__ = ["anyio_backend", "database", "postgres", "server", "sqlite"]

PLANS: Final = """
[plans.pro]
name = "Pro"
price = "price_pro"
features = ["export"]
limits = { api_calls = 100, projects = 3, tokens = 10 }
[plans.year]
name = "Pro, by the year"
price = "price_year"
limits = { api_calls = 100, seats = 5 }
[plans.small]
name = "Small"
price = "price_small"
limits = { api_calls = 10, projects = 1 }
[plans.pack]
name = "Pack"
price = "price_pack"
addon = true
limits = { api_calls = 50 }
[features.api_calls]
reset = "month"
alerts = [0.8, 1.0]
[features.projects]
reset = "never"
[features.seats]
reset = "period"
[features.tokens]
over = "allow"
meter = "tokens"
[free]
features = ["login"]
limits = { api_calls = 5 }
"""


class Shop:
    """One engine on a store, and whom it serves."""

    def __init__(self, store: Store, clock: Clock, **changes: Any) -> None:
        given: dict[str, Any] = {
            "stripe_key": "sk_test_0123456789abcdef",
            "webhook_secrets": (WEBHOOK_SECRET,),
            "database_url": "",
            "catalogue": read_catalogue(PLANS),
            "app_url": "http://localhost",
            "stripe_base": "http://127.0.0.1:9",
            "clock": clock,
        }
        self.store = store
        self.clock = clock
        self.engine = Interlock(store, Config(**(given | changes)))

    async def hold(self, user: str = "u_1", price: str = "price_pro", **changes: Any) -> Life:
        """Have a user hold a price, from now on unless `created` says otherwise."""
        now = int(self.clock())
        created = changes.pop("created", now)
        line = Line(price=price, quantity=changes.pop("quantity", 1), ends=changes.pop("ends", created + MONTH))
        given: dict[str, Any] = {"id": f"sub_{user}_{price}", "customer": f"cus_{user}", "user": user}
        life = Life(Sub(lines=(line,), created=created, **(given | changes)))
        await self.tell(life.create(at=now))
        return life

    async def move(self, life: Life, **changes: Any) -> None:
        """Change a subscription, and tell it."""
        self.clock.at += 1
        await self.tell(life.update(int(self.clock()), **changes))

    async def tell(self, told: Obj) -> None:
        body = body_of(told)
        receipt = await self.engine.receive(body, sign(body, t=self.clock()).encode())
        assert receipt.outcome == "applied"

    async def use(
        self, amount: int = 1, *, user: str = "u_1", feature: str = "api_calls", use_id: str | None = None
    ) -> Consumed:
        return await self.engine.consume(user, feature, amount, use_id=use_id)

    async def feature(self, key: str = "api_calls", user: str = "u_1") -> FeatureAsked:
        return await self.engine.feature(user, key)

    async def report(self, *events: UsageEvent) -> UsageReport:
        return await self.engine.report_usage(events)

    async def reserved(self, feature: str = "api_calls", user: str = "u_1") -> int:
        lines = await self.engine.usage(user)
        return next(line.reserved for line in lines if line.feature == feature)


@pytest.fixture
async def shop(database: Database) -> AsyncGenerator[Shop]:
    """A shop on each database; its clock stands at a whole minute, and nothing runs in the background."""
    async with database.open() as store:
        yield Shop(store, Clock(T0 - T0 % 60 + 60))
