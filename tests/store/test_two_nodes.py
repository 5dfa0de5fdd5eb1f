"""Two `interlock serve` on one PostgreSQL: the same events at both, one killed, and Stripe's truth at the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from pathlib import Path

import httpx
import pytest

from interlock.engine.store.postgres.connector import CONNECT_SECONDS
from interlock.engine.store.postgres.store import JOB_SECONDS
from tests.kit.bodies import body_of
from tests.kit.scale import Figure
from tests.kit.settings import bearer
from tests.store.conftest import Database
from tests.store.life import lives_of
from tests.store.nodes import Node, holds_each_once, next_data, settled, stores_the_truth, stripe_of
from tests.tools.postgres import temporary_server

pytestmark = pytest.mark.anyio

SUBSCRIPTIONS = 1_000
SENDERS = 16


async def test_two_nodes_end_at_the_truth_though_one_is_killed(
    postgres: Database, tmp_path: Path, figure: Figure
) -> None:
    """1,000 subscriptions, random order, duplicates, both nodes at once, SIGKILL midway: nothing lost or doubled."""
    rng = random.Random(20)
    lives = lives_of(SUBSCRIPTIONS)
    bodies = [body_of(told) for life in lives for told in life.told]
    deliveries = bodies + rng.sample(bodies, len(bodies) // 4)
    rng.shuffle(deliveries)
    waiting, whole, outcomes = deque(deliveries), len(deliveries), Counter[str]()
    async with stripe_of(lives) as stripe_url, httpx.AsyncClient(timeout=30, trust_env=False) as client:
        left, other = (Node(tmp_path / name, postgres.url, stripe_url) for name in ("a", "b"))
        nodes = [left, other]
        try:
            await asyncio.gather(*(node.ready() for node in nodes))

            async def send() -> None:
                while waiting:
                    body = waiting.popleft()
                    node = rng.choice(nodes)
                    outcome = await node.deliver(body)
                    if outcome is None:  # Stripe sends it again, later
                        waiting.append(body)
                        await asyncio.sleep(0.01)
                    else:
                        outcomes[outcome] += 1
                    if len(waiting) < whole // 2 and other in nodes:
                        nodes.remove(other)
                        other.kill()

            await asyncio.gather(*(send() for _ in range(SENDERS)))
            await settled(postgres)
            await stores_the_truth(postgres, lives)
            for life in rng.sample(lives, 25):
                shown = await left.state(client, life.sub.user or "")
                assert (shown["state"], shown["subscription_id"]) == (life.sub.status, life.sub.id)
        finally:
            for node in (left, other):
                node.kill()
    assert sum(outcomes.values()) == whole
    deadlocks = await postgres.look("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert deadlocks == [(0,)], "units about one customer take turns, so they never wait in a circle"
    await holds_each_once(postgres, len(bodies))
    figure(9, f"PostgreSQL: two nodes, one killed amid {whole} deliveries about {SUBSCRIPTIONS} subscriptions: "
              f"{len(bodies)} events, 0 lost, 0 doubled, 0 deadlocks")  # fmt: skip


async def test_a_stream_on_one_node_shows_what_arrived_at_the_other(postgres: Database, tmp_path: Path) -> None:
    """Whichever node a frontend's stream and Stripe's webhook come to, a change is seen within a second."""
    (life,) = lives_of(1)
    bodies = [body_of(told) for told in life.told]
    async with stripe_of([life]) as stripe_url, httpx.AsyncClient(timeout=30, trust_env=False) as client:
        nodes = [Node(tmp_path / name, postgres.url, stripe_url) for name in ("a", "b")]
        try:
            await asyncio.gather(*(node.ready() for node in nodes))
            here, there = nodes
            async with client.stream("GET", f"{here.url}/subscription/stream", headers=bearer("u_0")) as stream:
                lines = stream.aiter_lines()
                assert '"state":"none"' in await next_data(lines)
                await asyncio.sleep(0.3)
                assert await there.deliver(bodies[0]) == "applied"
                begun = time.monotonic()
                assert '"state":"active"' in await asyncio.wait_for(next_data(lines), 5)
                assert time.monotonic() - begun < 1
        finally:
            for node in nodes:
                node.kill()


async def test_a_node_answers_503_while_the_database_is_away_and_recovers(tmp_path: Path) -> None:
    """A primary that restarts is a pause: refused at once, nothing lost, and nobody has to restart the service."""
    lives = lives_of(40)
    bodies = [body_of(told) for life in lives for told in life.told]
    with temporary_server() as own:
        postgres = Database("postgresql", own.url("postgres"))
        async with stripe_of(lives) as stripe_url:
            node = Node(tmp_path / "a", postgres.url, stripe_url)
            try:
                await node.ready()
                first = [await node.deliver(body) for body in bodies[:20]]
                assert None not in first, (node.refusals, node.said())
                await asyncio.to_thread(own.stop, "immediate")
                begun = time.monotonic()
                refused = await asyncio.gather(*(node.deliver(body) for body in bodies))
                assert set(refused) == {None}
                assert time.monotonic() - begun < 8
                await node.ready(503)
                await asyncio.to_thread(own.start)
                await node.ready()
                again = await asyncio.gather(*(node.deliver(body) for body in bodies))
                assert None not in again
                assert again[: len(first)] == ["duplicate"] * len(first)
                await settled(postgres)
            finally:
                node.kill()
            assert await postgres.look("SELECT count(*) FROM event") == [(len(bodies),)]


async def test_a_database_that_stands_still_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It takes connections and answers nothing: 100 webhooks and 50 reads get 503 in ten seconds; then all goes on."""
    lives = lives_of(100)
    bodies = [body_of(life.told[0]) for life in lives]
    with temporary_server() as own:
        async with stripe_of(lives) as stripe_url, httpx.AsyncClient(timeout=60, trust_env=False) as client:
            node = Node(tmp_path / "a", own.url(), stripe_url)

            async def read(user: str | None) -> int:
                return (await client.get(f"{node.url}/subscription", headers=bearer(user or ""))).status_code

            async def crowd() -> tuple[set[str | None], set[int], float]:
                begun = time.monotonic()
                outcomes = asyncio.gather(*(node.deliver(body) for body in bodies))
                statuses = await asyncio.gather(*(read(life.sub.user) for life in lives[:50]))
                return {*await outcomes}, {*statuses}, time.monotonic() - begun

            try:
                await node.ready()
                assert None not in await asyncio.gather(*(node.deliver(body) for body in bodies[:50]))
                with own.frozen():
                    for most in (JOB_SECONDS + 2, CONNECT_SECONDS + 2):  # the second finds no connection left
                        outcomes, statuses, seconds = await crowd()
                        assert (outcomes, statuses) == ({None}, {503})
                        assert seconds < most
                    assert all('"status":503' in refusal for refusal in node.refusals)
                await node.ready()
                outcomes, statuses, _ = await crowd()
                assert (None not in outcomes, statuses) == (True, {200})
                await settled(Database("postgresql", own.url()), 20)
                await holds_each_once(Database("postgresql", own.url()), len(bodies))
            finally:
                node.kill()
