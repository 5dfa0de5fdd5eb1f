"""What the engine's tests share: an engine on a real SQLite file, with a clock that is turned by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from interlock.engine.config import Config
from interlock.engine.core.catalogue import Catalogue, read_catalogue
from interlock.engine.core.states import Facts, Outcome, Subscription
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.interlock import Interlock
from interlock.engine.store import Store
from interlock.engine.store.sqlite.store import SqliteStore
from interlock.engine.units import records
from interlock.engine.units.evidence import Reading, take_answer
from interlock.engine.wire.reports import CustomerReport
from tests.kit.bodies import T0, Obj, Sub, body_of, signed
from tests.kit.clock import Clock
from tests.kit.settings import PLANS

SECRET: Final = "whsec_0123456789abcdef0123456789abcdef"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make_config(folder: Path, clock: Clock | None = None, **changes: Any) -> Config:
    """Return an engine's settings for tests; nothing answers as Stripe."""
    given: dict[str, Any] = {
        "stripe_key": "sk_test_0123456789abcdef",
        "webhook_secrets": (SECRET,),
        "database_url": f"sqlite:///{folder / 'interlock.db'}",
        "catalogue": read_catalogue(PLANS),
        "app_url": "http://localhost:3000",
        "stripe_base": "http://127.0.0.1:9",
        "reconcile_every": 0,
        "clock": clock or time.time,
    }
    return Config(**(given | changes))


class Desk:
    """The inbox and the store behind it, and the engine's face on the same; nothing runs in the background."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.config = config
        self.inbox = Runner(store, Hub(), config)
        self.engine = Interlock(store, config)

    async def take(self, *events: Obj) -> str:
        """Deliver events, each signed anew; returns the last one's outcome."""
        outcome = ""
        for event in events:
            body = body_of(event)
            receipt = await self.inbox.receive(body, signed(body, SECRET, self.clock()).encode())
            assert receipt.id == event["id"]
            outcome = receipt.outcome.value
        return outcome

    async def state(self, user: str = "u_1") -> Obj:
        """Read what a user is shown."""
        shown = await self.engine.state(user)
        state = msgspec.json.decode(shown.body)
        assert state["version"] == shown.version
        return state

    async def history(self, user: str = "u_1") -> list[Obj]:
        """Read a user's decisions, oldest first."""
        page = await self.engine.history(user, limit=100, after=None)
        return list(reversed(msgspec.json.decode(msgspec.json.encode(page.items))))

    async def known(self, subscription_id: str = "sub_1") -> Subscription:
        """Read what is held of a subscription."""
        return (await self.store.write(lambda: records.subscription(subscription_id))).known

    async def answer(
        self, sub: Sub | None, *, at: int = T0, asked_at: int | None = None, customer_user: str | None = None
    ) -> Outcome:
        """Commit an answer of Stripe's; `asked_at` is the count of evidence when it was asked, now unless given."""
        subscription_id = sub.id if sub else "sub_1"
        evidence = (await self.known(subscription_id)).evidence if asked_at is None else asked_at
        reading = Reading(
            subscription_id=subscription_id,
            facts=read(sub) if sub else None,
            date=at,
            evidence_at_ask=evidence,
            customer=CustomerReport(sub.customer, customer_user, False) if sub and customer_user else None,
        )
        return await self.inbox.run(lambda unit: take_answer(reading, unit))

    async def questions(self) -> int:
        """Count what is to be asked of Stripe."""
        return int((await self.engine.metrics())["interlock_pending_questions"])

    def with_catalogue(self, catalogue: Catalogue) -> Desk:
        """The same store after a restart with another catalogue."""
        return Desk(self.store, msgspec.structs.replace(self.config, catalogue=catalogue), self.clock)


def read(sub: Sub) -> Facts:
    """Read a subscription's facts through the wire."""
    from interlock.engine.wire import objects as wire
    from interlock.engine.wire import reading

    return reading.facts_of(msgspec.json.decode(msgspec.json.encode(sub.json()), type=wire.Subscription))


OpenDesk = Callable[[], Awaitable[Desk]]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    """One desk on a file of its own; its clock stands at T0 and a minute."""
    clock = Clock(T0 + 60)
    store = await SqliteStore.open(tmp_path / "interlock.db")
    yield Desk(store, make_config(tmp_path, clock), clock)
    await store.close()
