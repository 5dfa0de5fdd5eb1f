"""Real `interlock serve` processes that share a database, a Stripe that answers their reads, and what must come out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from interlock.engine.core.states import Facts
from tests.kit.bodies import Life
from tests.kit.process import Process
from tests.kit.settings import bearer, environment, sign
from tests.kit.stripe import StandIn
from tests.store.conftest import Database
from tests.store.life import Timeline


class Node(Process):
    """One `interlock serve`, asked by coroutines."""

    def __init__(self, folder: Path, database_url: str, stripe_url: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(environment(folder, DATABASE_URL=database_url, STRIPE_API_BASE=stripe_url), folder / "log")
        self.refusals: list[str] = []
        self.begin()

    async def ready(self, status: int = 200) -> None:
        """Wait until it answers readiness with a status."""
        await asyncio.to_thread(self.await_ready, status=status)

    async def deliver(self, body: bytes) -> str | None:
        """Deliver an event; returns its outcome, None where it was not acknowledged.

        Spoken by hand: thousands of deliveries should weigh on the nodes, not on the test.
        """
        head = ("POST /webhooks/stripe HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"
                "Connection: close\r\n"
                f"Stripe-Signature: {sign(body)}\r\nContent-Length: {len(body)}\r\n\r\n")  # fmt: skip
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return None
        try:
            writer.write(head.encode() + body)
            answer, _, told = (await reader.read()).partition(b"\r\n\r\n")
        except OSError:
            return None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if answer[:12] == b"HTTP/1.1 200":
            return json.loads(told)["outcome"]
        self.refusals.append(told.decode())
        return None

    async def state(self, client: httpx.AsyncClient, user: str) -> dict[str, Any]:
        """What a user sees here."""
        answer = await client.get(f"{self.url}/subscription", headers=bearer(user))
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextlib.asynccontextmanager
async def stripe_of(lives: Sequence[Life]) -> AsyncGenerator[str]:
    """A stand-in Stripe where what is so of these lives is so; yields its address."""
    stand_in = await asyncio.to_thread(StandIn)
    try:
        stand_in.is_now(*(life.sub for life in lives))
        yield stand_in.url
    finally:
        await asyncio.to_thread(stand_in.close)


async def next_data(lines: AsyncIterator[str]) -> str:
    """The next state that a stream tells."""
    while not (line := await asyncio.wait_for(anext(lines), 5)).startswith("data:"):
        pass
    return line


async def settled(database: Database, seconds: float = 90) -> None:
    """Wait until nothing is left to ask of Stripe; how long that takes on a busy machine is no promise."""
    until = time.monotonic() + seconds
    while True:
        rows = await database.look("SELECT count(*) FROM queue")
        rows += await database.look("SELECT count(*) FROM event WHERE outcome IN ('pending', 'unlinked')")
        if rows == [(0,), (0,)]:
            return
        assert time.monotonic() < until, f"still open after {seconds} s: {rows}"
        await asyncio.sleep(0.1)


async def stores_the_truth(database: Database, lives: Sequence[Life]) -> None:
    """Assert that what is known of each subscription is exactly what Stripe says last."""
    truth = Timeline(lives)
    stored = dict(await database.look("SELECT subscription_id, facts FROM subscription"))
    for life in lives:
        assert msgspec.json.decode(stored[life.sub.id], type=Facts) == truth.facts(life.sub.id)


async def holds_each_once(database: Database, events: int) -> None:
    """Assert that so many events are there, each decided, and none applied twice."""
    assert await database.look("SELECT count(*) FROM event") == [(events,)]
    twice = "SELECT event_id FROM decision WHERE outcome = 'applied' GROUP BY event_id HAVING count(*) > 1"
    assert await database.look(twice) == []
    untold = "SELECT count(*) FROM event e WHERE NOT EXISTS (SELECT 1 FROM decision d WHERE d.event_id = e.event_id)"
    assert await database.look(untold) == [(0,)]
