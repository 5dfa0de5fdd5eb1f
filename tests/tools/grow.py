"""Measures what a webhook, a read and a sweep cost as the database grows, on both kinds.

    python -m tests.tools.grow 1000 100000 [1000000]

A busy machine bends what the clock says; processor time spent, in this process and in PostgreSQL's, is the
figure to compare between sizes.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import psutil

from engine.config import Config
from engine.hub import Hub
from engine.inbox import Inbox
from engine.store import Row, Store, Work
from engine.store.opening import open_store
from tests.stripe_payloads import MONTH, Line, body_of
from tests.tools.fill import CATALOGUE, LAST, fill, life_of
from tests.tools.postgres import Server, connect, temporary_server

WEBHOOKS: Final = 2_000
READS: Final = 1_000
_AT_ONCE: Final = 64


class Figures(NamedTuple):
    """One row of the table."""

    kind: str
    subscriptions: int
    webhooks_per_second: float
    cpu_ms_per_webhook: float
    state_p50_ms: float
    state_p99_ms: float
    history_p50_ms: float
    sweep_ms_per_100: float
    bytes_each: float
    fill_seconds: float


def rows_of(statement: str, *arguments: Any) -> Callable[[], Work[list[Row]]]:
    """Return a unit of work of one statement."""

    def work() -> Work[list[Row]]:
        return (yield statement, arguments)

    return work


def _renewals(numbers: list[int]) -> list[bytes]:
    """The next event of each: its period moves on, proven by what it was before."""
    bodies: list[bytes] = []
    for number in numbers:
        told = life_of(number).update(LAST + 60, lines=(Line(ends=LAST + 2 * MONTH),))
        bodies.append(body_of(told))
    return bodies


def _cpu_seconds() -> float:
    """Processor time of this process, and of every PostgreSQL there is (none other works meanwhile)."""
    spent = time.process_time()
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent += times.user + times.system
    return spent


async def _each_ms(count: int, step: Callable[[], Awaitable[Any]]) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        await step()
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


async def _deliver(inbox: Inbox, bodies: list[bytes]) -> None:
    walk = iter(bodies)

    async def lane() -> None:
        for body in walk:
            await inbox.submit(body)

    await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))


async def measure(kind: str, url: str, count: int, size: Callable[[], Awaitable[int]]) -> Figures:
    """Fill an empty database and measure it."""
    rng = Random(count)
    begun = time.perf_counter()
    await fill(url, count)
    filled = time.perf_counter() - begun
    bytes_each = await size() / count
    store = await open_store(url, service=False)
    config = Config(stripe_key="sk_test_x", webhook_secrets=("",), database_url=url, catalogue=CATALOGUE,
                    app_url="http://localhost", clock=lambda: LAST + 100)  # fmt: skip
    inbox = Inbox(store, Hub(), config)
    webhooks = min(WEBHOOKS, count // 2)
    numbers = rng.sample(range(count), webhooks + webhooks // 4)
    bodies = _renewals(numbers)
    await _deliver(inbox, bodies[webhooks:])  # connections, plans, caches
    cpu, begun = _cpu_seconds(), time.perf_counter()
    await _deliver(inbox, bodies[:webhooks])
    took, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu
    assert inbox.counts == Counter(applied=len(numbers)), inbox.counts
    states, histories = await _reads(store, rng, count)
    sweep = await _sweep_of_100(store, rng, count)
    await store.close()
    p50, p99 = statistics.median(states), states[int(len(states) * 0.99)]
    history = statistics.median(histories)
    return Figures(kind, count, webhooks / took, cpu * 1000 / webhooks, p50, p99, history, sweep, bytes_each, filled)


async def _reads(store: Store, rng: Random, count: int) -> tuple[list[float], list[float]]:
    def user() -> str:
        return f"user-{rng.randrange(count):08d}"

    states = await _each_ms(READS, lambda: store.read(rows_of("users_get", user())))
    histories = await _each_ms(READS // 2, lambda: store.read(rows_of("decision_page", user(), 2**62, 21)))
    return states, histories


async def _sweep_of_100(store: Store, rng: Random, count: int) -> float:
    """What a sweep does here for a hundred subscriptions: one page of the living, and a look at each."""

    async def page() -> None:
        after = life_of(rng.randrange(max(count - 100, 1))).sub.id
        for row in await store.read(rows_of("subscription_living", after, 100)):
            await store.read(rows_of("subscription_peek", row[0]))

    return statistics.median(await _each_ms(10, page))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@asynccontextmanager
async def _sqlite(folder: Path, count: int) -> AsyncGenerator[tuple[str, Callable[[], Awaitable[int]]]]:
    path = folder / f"{count}.db"

    async def size() -> int:
        return path.stat().st_size

    yield f"sqlite:///{path}", size
    _remove(path)


@asynccontextmanager
async def _postgres(server: Server, count: int) -> AsyncGenerator[tuple[str, Callable[[], Awaitable[int]]]]:
    database = f"grow_{count}"
    await server.run(f"CREATE DATABASE {database}")

    async def size() -> int:
        connection = await connect(server.url(database))
        found: int = await connection.fetchval("SELECT pg_database_size(current_database())")
        await connection.close()
        return found

    yield server.url(database), size
    await server.run(f"DROP DATABASE {database} WITH (FORCE)")


async def main(counts: list[int]) -> None:
    """Measure every size on both, and print each row as it is known."""
    print("| database | subscriptions | webhooks/s | CPU ms each | state p50 ms | p99 ms | history ms "
          "| sweep, ms per 100 | bytes each | filled in s |")  # fmt: skip
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="interlock-grow-") as folder, temporary_server() as server:
        for count in counts:
            for kind, place in (("SQLite", _sqlite(Path(folder), count)), ("PostgreSQL", _postgres(server, count))):
                async with place as (url, size):
                    found = await measure(kind, url, count, size)
                print(f"| {found.kind} | {found.subscriptions:,} | {found.webhooks_per_second:,.0f} "
                      f"| {found.cpu_ms_per_webhook:.2f} | {found.state_p50_ms:.2f} | {found.state_p99_ms:.2f} "
                      f"| {found.history_p50_ms:.2f} | {found.sweep_ms_per_100:.1f} | {found.bytes_each:,.0f} "
                      f"| {found.fill_seconds:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main([int(argument) for argument in sys.argv[1:]] or [1_000, 100_000]))
