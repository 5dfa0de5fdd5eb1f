"""Row 5: lost events heal.  Any of six is lost, one sweep, and everything is as Stripe says.

The real Sweep, asker and client, over HTTP, against the sandbox; 64 users, one for each subset that arrives.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import uvicorn

from interlock.api.sandbox import World, create_sandbox
from interlock.engine.config import Config
from interlock.engine.flow.asker import Asker
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.flow.sweep import Sweep
from interlock.engine.store import Store
from interlock.engine.store.opening import open_store
from interlock.engine.units import records
from interlock.engine.units.records import QUESTION
from interlock.engine.wire.client import StripeClient
from interlock.engine.wire.events import EVENT_TYPES
from tests.kit.scale import Figure
from tests.reliability.bodies import Obj
from tests.reliability.crowd import CATALOGUE
from tests.reliability.stripe_world import facts_in

EVENTS: Final = 6
PLANS: Final[list[Obj]] = [{"key": "pro", "name": "Pro", "price": "price_pro", "amount": 1900, "interval": "month"}]


@asynccontextmanager
async def _sandbox() -> AsyncGenerator[tuple[World, str]]:
    """Serve the sandbox on loopback, in this very loop; yield its world and its address."""
    app = create_sandbox(
        public_url="http://127.0.0.1:1", plans=PLANS, webhook_url="", webhook_secret="", app_url="http://127.0.0.1:2"
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has nothing to wait for
        await asyncio.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield app.state["sandbox"].world, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


class Service:
    """Our side: a store, an inbox, an asker that runs, and who sweeps."""

    def __init__(self, store: Store, base: str) -> None:
        config = Config(
            stripe_key="sk_test_0",
            webhook_secrets=("whsec_0123456789",),
            database_url="",
            catalogue=CATALOGUE,
            app_url="https://app.example",
            stripe_base=base,
        )
        self.store = store
        self.stripe = StripeClient(config.stripe_key, base)
        self.inbox = Runner(store, Hub(), config)
        self.truth = Asker(store, self.inbox, self.stripe, config)
        self.reconciler = Sweep(store, self.inbox, self.truth, self.stripe)

    async def settled(self) -> None:
        """Wait until nothing is asked any more."""
        async with asyncio.timeout(120):
            while (await self.store.read(lambda: records.waiting(QUESTION))).count:  # noqa: ASYNC110 - it is a row in a database
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _service(path: Path, base: str) -> AsyncGenerator[Service]:
    store = await open_store(f"sqlite:///{path}", service=True)
    service = Service(store, base)
    asker = asyncio.create_task(service.truth.run())
    try:
        yield service
    finally:
        asker.cancel()
        with suppress(asyncio.CancelledError):
            await asker
        await store.close()
        await service.stripe.close()


def _do(world: World, method: str, path: str, params: Obj | None = None) -> Obj:
    answer = world.request(method, path, params)
    assert answer.status == 200, (method, path, answer)
    return answer.body


def _live(world: World, user: str) -> str:
    """Live a life of six events that we read, and return the subscription's id."""
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = _do(world, "POST", "/v1/customers", {"metadata": {"user_id": user}, **card})
    what: Obj = {"customer": customer["id"], "items": [{"price": "price_pro"}], "metadata": {"user_id": user}}
    subscription = _do(world, "POST", "/v1/subscriptions", what)
    path = f"/v1/subscriptions/{subscription['id']}"
    _do(world, "POST", path, {"cancel_at_period_end": True})
    _do(world, "POST", path, {"cancel_at_period_end": False})
    _do(world, "POST", path, {"pause_collection": {"behavior": "void"}})
    return str(subscription["id"])


def _told(world: World, lives: dict[str, str]) -> dict[str, list[bytes]]:
    """Return, by subscription, the events about it that we read, as their webhooks' bodies."""
    told: dict[str, list[bytes]] = {subscription_id: [] for subscription_id in lives.values()}
    for event in world.all("event"):
        what: Obj = event["data"]["object"]
        parent: Obj = what.get("parent") or {}
        details: Obj = parent.get("subscription_details") or {}
        about = details.get("subscription") if what["object"] == "invoice" else what["id"]
        if event["type"] in EVENT_TYPES and about in told:
            told[about].append(json.dumps(event).encode())
    return told


async def _check(service: Service, world: World, lives: dict[str, str]) -> None:
    for user, subscription_id in lives.items():
        stored = await service.store.read(lambda id_=subscription_id: records.stored_facts(id_))
        truth = facts_in(_do(world, "GET", f"/v1/subscriptions/{subscription_id}"))
        assert stored.facts == truth, user
        row = await service.store.read(lambda user=user: records.user(user))
        assert row is not None
        state: dict[str, Any] = msgspec.json.decode(row.shown or b"")
        assert (state["state"], state["access"]["reason"]) == ("active", "paid"), user  # to the end of what is paid
        assert (state["collection_paused"], state["access"]["until"]) == (True, state["current_period_end"]), user
        assert state["subscription_id"] == subscription_id


async def _heal(path: Path, *, by_events: bool) -> tuple[int, int]:
    """Deliver each subset to one user, sweep once, check all; returns how many events were lost, and how many differed.

    `by_events`: the list of events was looked at before, so the sweep takes up where it was; else it must compare.
    """
    async with _sandbox() as (world, base), _service(path, base) as service:
        if by_events:
            _do(world, "POST", "/v1/customers", {})  # something that the list of events can begin after
            await service.reconciler.recover_events()
        lives = {f"u_{subset}": _live(world, f"u_{subset}") for subset in range(2**EVENTS)}
        lost = 0
        for subset, events in enumerate(_told(world, lives).values()):
            assert len(events) == EVENTS, [json.loads(event)["type"] for event in events]
            arrive = [event for number, event in enumerate(events) if subset >> number & 1]
            lost += EVENTS - len(arrive)
            for event in arrive:
                await service.inbox.submit(event)
        found = await service.reconciler.sweep()
        await service.settled()
        await _check(service, world, lives)
        again = await service.reconciler.sweep()
        assert again == [], "a second sweep finds nothing"
        return lost, len({difference.subscription_id for difference in found})


@pytest.mark.parametrize("by_events", [True, False], ids=["the list of events", "the list of subscriptions"])
def test_any_lost_events_heal_by_one_sweep(by_events: bool, figure: Figure, tmp_path: Path) -> None:
    """All 2^6 subsets of six events arrive; one sweep by either list alone, and each user is shown what Stripe says."""
    lost, differed = asyncio.run(_heal(tmp_path / "interlock.db", by_events=by_events))
    way = "Stripe's list of events" if by_events else f"comparing ({differed} subscriptions differed)"
    figure(5, f"all {2**EVENTS} subsets of {EVENTS} events, {lost} events lost, one sweep by {way}: every user right")
