"""Measures what a webhook, a read and a sweep cost as the database grows, on both kinds.

    python -m tests.tools.grow 1000 1000000 [--keep FOLDER] [--rounds 9]

First all databases are filled, or found whole in FOLDER from an earlier run.  Then copies of those of one kind, and
after them of the other, are measured in rounds: in each round every size takes a turn of equally many webhooks, sent
equally many at once, so that whatever else the machine does bends all alike.  A turn renews as many subscriptions,
drawn at random: of a thousand all, of a million a thousand that no turn before has touched, whose pages the database
has to fetch from wherever the system keeps its file.  That is part of what is measured, as it is of a service's
life; a column says how much of it came from the disk, which is little where the memory holds the database.

A busy machine bends what the clock says.  Processor time spent, in this process and in PostgreSQL's, is the figure
to compare; sizes are compared within a round, and the median of the rounds is told.  Exit code 1 where a webhook
costs more than 1.3 times what it costs at the smallest size.  PostgreSQL's time includes what it does besides
(checkpoints, vacuum) while the turn lasts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from interlock.engine.config import Config
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Row, Store, Work
from interlock.engine.store.opening import open_store
from interlock.engine.store.statements import STATEMENTS
from tests.bench.machine import description
from tests.kit.bodies import MONTH, Life, Line, body_of
from tests.tools.fill import CATALOGUE, LAST, MONTHS, life_of, name
from tests.tools.kept import Database, PostgresDatabase, SqliteDatabase, filled, folder_for
from tests.tools.postgres import Server

WEBHOOKS: Final = 1_000
"""In a turn; fewer where the smallest database has fewer subscriptions."""
WARMING: Final = 20
"""Turns before the first that counts."""
STATES: Final = 300
HISTORIES: Final = 100
SWEEPS: Final = 3
LIMIT: Final = 1.3
_AT_ONCE: Final = 64


def rows_of(statement: str, *arguments: Any) -> Callable[[], Work[list[Row]]]:
    """Return a unit of work of one statement."""

    def work() -> Work[list[Row]]:
        return (yield STATEMENTS[statement], arguments)

    return work


@dataclass
class Place:
    """One database under measurement, and what was seen there: webhooks a second, kB from disk a webhook, else ms."""

    database: Database
    bytes_each: float
    store: Store
    order: list[int]
    """The subscriptions in the order in which they are renewed; then again from the first."""
    inbox: Runner
    renewed: int = 0
    rates: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    disk: list[float] = field(default_factory=list[float])
    states: list[float] = field(default_factory=list[float])
    histories: list[float] = field(default_factory=list[float])
    sweeps: list[float] = field(default_factory=list[float])

    def renewals(self, webhooks: int) -> list[bytes]:
        """The next event of as many subscriptions: its period moves on, proven by what it was before."""
        bodies: list[bytes] = []
        for turn in range(self.renewed, self.renewed + webhooks):
            number, lap = self.order[turn % len(self.order)], turn // len(self.order)
            was, now = (Line(ends=LAST + (lap + months) * MONTH) for months in (1, 2))
            told = Life(replace(life_of(number).sub, lines=(was,))).update(LAST + 60 * (lap + 1), lines=(now,))
            told["id"] = name("evt", MONTHS * self.database.count + turn)
            bodies.append(body_of(told))
        self.renewed += webhooks
        return bodies

    async def deliver(self, webhooks: int) -> None:
        """Renew, and note what it took."""
        walk = iter(self.renewals(webhooks))

        async def lane() -> None:
            for body in walk:
                await self.inbox.submit(body)

        disk = self.database.bytes_read()
        begun, cpu, theirs = time.perf_counter(), time.process_time(), self.database.cpu_seconds()
        await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))
        taken = time.perf_counter() - begun
        cpu, theirs = time.process_time() - cpu, self.database.cpu_seconds() - theirs
        self.rates.append(webhooks / taken)
        self.cpu.append((cpu + theirs) * 1000 / webhooks)
        self.disk.append((self.database.bytes_read() - disk) / 1000 / webhooks)
        assert self.inbox.counts == Counter(applied=self.renewed), self.inbox.counts

    async def read(self, rng: Random, share: float = 1.0) -> None:
        """Read states, pages of history and, as a sweep does, a hundred living subscriptions with a look at each."""

        def user() -> str:
            return f"user-{rng.randrange(self.database.count):08d}"

        async def hundred() -> None:
            after = life_of(rng.randrange(max(self.database.count - 100, 1))).sub.id
            for row in await self.store.read(rows_of("subscription_living", after, 100)):
                await self.store.read(rows_of("subscription_peek", row[0]))

        read = self.store.read
        self.states += await _each_ms(int(STATES * share), lambda: read(rows_of("users_get", user())))
        self.histories += await _each_ms(
            int(HISTORIES * share), lambda: read(rows_of("decision_page", user(), 2**62, 21))
        )
        self.sweeps += await _each_ms(SWEEPS, hundred)

    def forget(self) -> None:
        """Begin the figures anew."""
        for figures in (self.rates, self.cpu, self.disk, self.states, self.histories, self.sweeps):
            figures.clear()


async def _each_ms(count: int, step: Callable[[], Awaitable[Any]]) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        await step()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


@asynccontextmanager
async def _place(database: Database, bytes_each: float, needed: int) -> AsyncGenerator[Place]:
    """Open a copy of a database, to be measured with so many webhooks in all."""
    await database.copy()
    store = await open_store(database.copy_url, service=False)
    try:
        config = Config(stripe_key="sk_test_x", webhook_secrets=("",), database_url=database.copy_url,
                        catalogue=CATALOGUE, app_url="http://localhost", clock=lambda: LAST + MONTH // 2)  # fmt: skip
        order = Random(database.count).sample(range(database.count), min(needed, database.count))
        yield Place(database, bytes_each, store, order, Runner(store, Hub(), config))
    finally:
        await store.close()
        await database.drop_copy()


async def _rounds(databases: dict[Database, float], webhooks: int, rounds: int) -> list[Place]:
    """Measure databases of one kind side by side."""
    rng = Random(0)
    async with AsyncExitStack() as stack:
        places = [
            await stack.enter_async_context(_place(database, bytes_each, webhooks * (rounds + WARMING)))
            for database, bytes_each in databases.items()
        ]
        os.sync()  # what the copies left for later
        for place in places:  # connections, plans, and caches as full as they are after some minutes of service
            for _ in range(WARMING):
                await place.deliver(webhooks)
            await place.read(rng, 0.1)
            place.forget()
        for _ in range(rounds):
            for place in rng.sample(places, len(places)):
                await place.deliver(webhooks)
                await place.read(rng)
    return places


def _row(place: Place, ratio: float) -> str:
    median, p99 = statistics.median, statistics.quantiles(place.states, n=100)[98]
    return (
        f"| {place.database.kind} | {place.database.count:,} | {median(place.rates):,.0f} | {median(place.cpu):.2f} "
        f"| {ratio:.2f} | {median(place.disk):.0f} | {median(place.states):.2f} | {p99:.2f} "
        f"| {median(place.histories):.2f} | {median(place.sweeps):.1f} | {place.bytes_each:,.0f} |"
    )


def _told(places: list[Place]) -> bool:
    """Print the table and the comparison; returns whether every size costs a webhook little more than the smallest."""
    print("| database | subscriptions | webhooks/s | CPU ms each | × the smallest | kB read from disk each "
          "| state p50 ms | p99 ms | history ms | sweep, ms per 100 | bytes each |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    verdicts: list[str] = []
    fine = True
    for place in places:
        least = next(other for other in places if other.database.kind == place.database.kind)
        ratios = [cpu / small for cpu, small in zip(place.cpu, least.cpu, strict=True)]
        ratio = statistics.median(ratios)
        print(_row(place, ratio))
        if place is not least:
            fine &= ratio <= LIMIT
            verdicts.append(
                f"{place.database.kind}: the cost per webhook at {place.database.count:,} subscriptions is "
                f"{'within' if ratio <= LIMIT else 'NOT within'} {LIMIT} × of that at {least.database.count:,}: "
                f"{ratio:.2f} × (rounds {min(ratios):.2f} to {max(ratios):.2f})"
            )
    print("", *verdicts, sep="\n")
    return fine


async def main(counts: list[int], folder: Path, rounds: int) -> bool:
    """Fill, measure, tell; the smallest of a kind comes first."""
    server = await asyncio.to_thread(Server, folder / "postgres")
    try:
        databases: dict[Database, float] = {}
        for count in sorted(set(counts)):
            both = (SqliteDatabase(folder, count), PostgresDatabase(server, count))
            sizes = await asyncio.gather(*(filled(database, folder) for database in both))
            databases |= dict(zip(both, sizes, strict=True))
        webhooks = min(WEBHOOKS, *counts)
        rule = f"medians of {rounds} rounds of {webhooks:,} webhooks, {_AT_ONCE} at once"
        print(f"{description()}; {rule}.\n", flush=True)
        places: list[Place] = []
        for kind in (SqliteDatabase.kind, PostgresDatabase.kind):
            these = {database: each for database, each in databases.items() if database.kind == kind}
            places += await _rounds(these, webhooks, rounds)
        return _told(places)
    finally:
        await asyncio.to_thread(server.stop, "fast")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a webhook, a read and a sweep cost as the database grows.")
    parser.add_argument("counts", type=int, nargs="*", default=[1_000, 100_000], help="subscriptions")
    parser.add_argument("--keep", type=Path, help="folder that keeps the filled databases for the next run")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with folder_for(given.keep) as place_of_all:
        well = asyncio.run(main(given.counts, place_of_all, given.rounds))
    sys.exit(0 if well else 1)
