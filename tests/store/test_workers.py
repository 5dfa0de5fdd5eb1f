"""`interlock serve --workers 2` on one PostgreSQL: two processes behind one port, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.kit.bodies import body_of
from tests.kit.process import Process
from tests.kit.settings import bearer, environment, sign
from tests.store.conftest import Database
from tests.store.life import lives_of
from tests.store.nodes import holds_each_once, next_data, settled, stores_the_truth, stripe_of

pytestmark = pytest.mark.anyio

SUBSCRIPTIONS = 120
CONNECTIONS_EACH = 6
ENDS_WITHIN = 10.0


class Workers(Process):
    """The command with two workers, and connections of which we know who answers them."""

    def __init__(self, folder: Path, database_url: str, stripe_url: str) -> None:
        settings = environment(folder, DATABASE_URL=database_url, STRIPE_API_BASE=stripe_url)
        super().__init__(settings, folder / "log", options=("--workers", "2"))
        self.begin()
        self.parent = psutil.Process(self.pid)

    def family(self) -> list[psutil.Process]:
        """The command's process and all that it started."""
        return [self.parent, *self.parent.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """The two that serve; multiprocessing has a helper of its own beside them."""
        return [child for child in self.parent.children() if "--multiprocessing-fork" in child.cmdline()]

    async def ready(self) -> None:
        """Wait until both listen and answer readiness."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.alive(), self.said()
            with contextlib.suppress(httpx.HTTPError, psutil.Error):
                pids = [worker.pid for worker in self.workers()]
                if len(pids) == 2 and all([await self._answers(pid) for pid in pids]):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(self.said())

    async def _answers(self, pid: int) -> bool:
        async with self.connection(pid) as client:
            return (await client.get("/health/ready")).status_code == 200

    @contextlib.asynccontextmanager
    async def connection(self, pid: int) -> AsyncGenerator[httpx.AsyncClient]:
        """One connection that stays, to this worker: the other one is held while it is made.

        Not for long: the parent kills a worker that answers nothing for five seconds.
        """
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx.AsyncClient(base_url=self.url, limits=one, timeout=5, trust_env=False) as client:
            with self._held(pid):
                await client.get("/health/live", timeout=3)
            yield client

    @contextlib.contextmanager
    def _held(self, but: int) -> Generator[None]:
        others = [worker for worker in self.workers() if worker.pid != but]
        for other in others:
            other.suspend()
        try:
            yield
        finally:
            for other in others:
                other.resume()

    def kill(self) -> None:
        """End whatever is left of it, in whatever way."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.family():
                process.kill()
        self.await_end()


@contextlib.asynccontextmanager
async def running(postgres: Database, folder: Path, stripe_url: str) -> AsyncGenerator[Workers]:
    """Start the command and wait until both workers answer."""
    workers = Workers(folder, postgres.url, stripe_url)
    try:
        await workers.ready()
        yield workers
    finally:
        workers.kill()


async def deliver(client: httpx.AsyncClient, body: bytes) -> str:
    """Deliver an event over a connection; returns its outcome."""
    answer = await client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)})
    assert answer.status_code == 200, answer.text
    return answer.json()["outcome"]


async def test_both_workers_end_at_the_truth(postgres: Database, tmp_path: Path) -> None:
    """Every event twice, in any order, at both workers side by side: nothing lost, nothing doubled."""
    rng = random.Random(2)
    lives = lives_of(SUBSCRIPTIONS)
    bodies = {told["id"]: body_of(told) for life in lives for told in life.told}
    waiting = list(bodies) * 2
    rng.shuffle(waiting)
    outcomes: list[tuple[str, str]] = []
    by_worker = Counter[int]()
    async with (
        stripe_of(lives) as stripe_url,
        running(postgres, tmp_path, stripe_url) as serving,
        contextlib.AsyncExitStack() as stack,
    ):
        pids = [worker.pid for worker in serving.workers()]
        clients = [(pid, await stack.enter_async_context(serving.connection(pid))) for pid in pids * CONNECTIONS_EACH]

        async def send(pid: int, client: httpx.AsyncClient) -> None:
            while waiting:
                event_id = waiting.pop()
                outcomes.append((event_id, await deliver(client, bodies[event_id])))
                by_worker[pid] += 1

        await asyncio.gather(*(send(pid, client) for pid, client in clients))
        await settled(postgres)
        await stores_the_truth(postgres, lives)
        for n, life in enumerate(lives):
            _, client = clients[n % len(clients)]
            shown = (await client.get("/subscription", headers=bearer(life.sub.user or ""))).json()
            assert (shown["state"], shown["subscription_id"]) == (life.sub.status, life.sub.id)
    assert min(by_worker[pid] for pid in pids) > len(bodies) // 4, by_worker
    assert Counter(event_id for event_id, outcome in outcomes if outcome == "duplicate") == Counter(bodies.keys())
    await holds_each_once(postgres, len(bodies))


async def test_a_stream_hears_the_other_worker_and_sigterm_ends_all(postgres: Database, tmp_path: Path) -> None:
    """A stream tells what came to the other worker; SIGTERM ends streams and processes, with 0, and frees the port."""
    (life,) = lives_of(1)
    bodies = [body_of(told) for told in life.told]
    async with stripe_of([life]) as stripe_url, running(postgres, tmp_path, stripe_url) as serving:
        family = serving.family()
        here, there = (worker.pid for worker in serving.workers())
        async with (
            serving.connection(here) as follower,
            serving.connection(there) as sender,
            follower.stream("GET", "/subscription/stream", headers=bearer("u_0")) as stream,
        ):
            lines = stream.aiter_lines()
            assert '"state":"none"' in await next_data(lines)
            assert await deliver(sender, bodies[0]) == "applied"
            assert '"state":"active"' in await next_data(lines)
            begun = time.monotonic()
            serving.parent.send_signal(signal.SIGTERM)
            async for _ in lines:  # it ends cleanly: one that is cut off raises
                pass
        code = await asyncio.to_thread(serving.await_end, ENDS_WITHIN)
        assert (code, time.monotonic() - begun < ENDS_WITHIN) == (0, True), serving.said()
        _, left = await asyncio.to_thread(psutil.wait_procs, family, 2)  # multiprocessing's helper sees it and goes
        assert left == []
        assert "Traceback" not in serving.said()
        with socket.create_server(("127.0.0.1", serving.port)):
            pass


async def test_a_worker_that_is_killed_is_replaced(postgres: Database, tmp_path: Path) -> None:
    """SIGKILL of one worker: the other one serves on, another takes its place, and what was acknowledged is there."""
    lives = lives_of(4)
    bodies = [body_of(told) for life in lives for told in life.told]
    async with stripe_of(lives) as stripe_url, running(postgres, tmp_path, stripe_url) as serving:
        doomed, other = serving.workers()
        async with serving.connection(doomed.pid) as client:
            first = [await deliver(client, body) for body in bodies[:4]]
            assert "duplicate" not in first
        async with serving.connection(other.pid) as client:
            doomed.kill()
            assert [await deliver(client, body) for body in bodies[:4]] == ["duplicate"] * 4
            assert "duplicate" not in [await deliver(client, body) for body in bodies[4:]]
        await serving.ready()
        assert doomed.pid not in [worker.pid for worker in serving.workers()]
        assert await postgres.look("SELECT count(*) FROM event") == [(len(bodies),)]


async def test_workers_that_cannot_start(tmp_path: Path) -> None:
    """Where no worker can start, the command ends with 1, as with one worker, and never says that it serves."""
    workers = Workers(tmp_path, "postgresql://postgres@127.0.0.1:9/nowhere", "http://127.0.0.1:9")
    try:
        assert await asyncio.to_thread(workers.await_end, 60) == 1
    finally:
        workers.kill()
    assert "Interlock serves" not in workers.said()
    assert "can't start" in workers.said()
