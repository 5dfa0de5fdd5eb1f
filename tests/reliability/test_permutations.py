"""Row 4: through the real databases, every order of every named lifecycle, everything told twice, ends right."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.engine.store import Store
from interlock.engine.store.opening import open_store
from tests.kit.scale import Figure, first_seed, size
from tests.reliability.crowd import MIXES, SIDE_BY_SIDE, Crowd, side_by_side
from tests.reliability.lifecycles import LIFECYCLES, PLACE, Lifecycle
from tests.tools.postgres import Server, temporary_server

Order = tuple[int, tuple[int, ...], bool]
"""Which mix of API versions, the deliveries in their order, and whether what is pending is settled at once."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One PostgreSQL for this file."""
    with temporary_server("max_connections=100") as running:
        yield running


@asynccontextmanager
async def _store(url: str) -> AsyncGenerator[Store]:
    store = await open_store(url, service=True)
    try:
        yield store
    finally:
        await store.close()


def _every_order(life: Lifecycle, share: int = 1) -> list[Order]:
    """Return every permutation (or every `share`-th), everything twice: one after the other, or all over again."""
    orders: list[Order] = []
    for number, order in enumerate(itertools.permutations(range(len(life.told(MIXES[0]))))):
        if number % share == 0:
            twice = (*order, *order) if number % 2 else tuple(itertools.chain(*zip(order, order, strict=True)))
            orders.append((number % len(MIXES), twice, number % 3 == 0))
    return orders


async def _live_through(
    store: Store, life: Lifecycle, orders: list[Order], name: str, seeds: list[int] | None = None
) -> tuple[int, int]:
    """Let one user live through each order; returns deliveries and questions.  All must be shown what is right."""
    crowd = Crowd(store, life)

    def user(number: int, order: Order) -> Callable[[], Coroutine[Any, Any, None]]:
        mix, deliveries, at_once = order
        return lambda: crowd.live(f"{name}{number}", mix, deliveries, settle_between=at_once)

    await side_by_side(user(number, order) for number, order in enumerate(orders))
    asked = await crowd.settle()
    first = await _expected(store, life, name)
    for number, order in enumerate(orders):
        shown = await crowd.shown(f"{name}{number}")
        seed = f"seed {seeds[number]}: " if seeds else ""
        assert shown == first, f"{seed}{life.name}: delivered {order[1]} in versions {MIXES[order[0]]}"
    return crowd.deliveries, asked


async def _expected(store: Store, life: Lifecycle, name: str) -> dict[str, Any]:
    """Return what a user is shown who heard everything once, in order; it is what the lifecycle says by hand."""
    crowd, place = Crowd(store, life), f"{name}inorder"
    await crowd.live(place, 2, range(len(life.told(MIXES[2]))), settle_between=True)
    await crowd.settle()
    shown = await crowd.shown(place)
    assert (shown["state"], shown["access"]["granted"]) == (life.state, life.granted), life.name
    assert shown["access"]["reason"] == life.reason, life.name
    assert shown["subscription_id"] == f"sub_{PLACE}"
    return shown


async def _all_lifecycles(url: str, share: int) -> tuple[int, int, int]:
    histories = deliveries = asked = 0
    async with _store(url) as store:
        for number, life in enumerate(LIFECYCLES):
            orders = _every_order(life, share)
            delivered, questions = await _live_through(store, life, orders, f"L{number}x")
            histories, deliveries, asked = histories + len(orders), deliveries + delivered, asked + questions
    return histories, deliveries, asked


def test_orders_of_every_lifecycle_on_sqlite(figure: Figure, tmp_path: Path) -> None:
    """Whatever the order, all told twice, in three API versions: the user is shown the same, and it is right.

    Each commit a share of the orders: that all converge is explored (`test_exploration`), this repeats it on a file.
    """
    path, share = tmp_path / "interlock.db", size("SQLITE_SHARE", 4, 1)
    histories, deliveries, asked = asyncio.run(_all_lifecycles(f"sqlite:///{path}", share))
    with sqlite3.connect(path) as connection:
        _check_ledger(connection.execute)
    connection.close()
    figure(4, f"SQLite: {histories} orders (1 in {share}) of {len(LIFECYCLES)} lifecycles, all doubled: "
              f"{deliveries} deliveries, {asked} questions left at the end, every user right")  # fmt: skip


def _check_ledger(execute: Callable[[str], Any]) -> None:
    """No event is `applied` twice, none waits, and an ended subscription was never seen to move again."""
    twice = (
        "SELECT count(*) FROM (SELECT 1 FROM decision WHERE outcome = 'applied' AND event_id IS NOT NULL "
        "GROUP BY event_id HAVING count(*) > 1)"  # what was only asked about names no event
    )
    assert execute(twice).fetchone()[0] == 0
    assert execute("SELECT count(*) FROM event WHERE outcome = 'pending'").fetchone()[0] == 0
    assert execute("SELECT count(*) FROM queue").fetchone()[0] == 0
    lives = "SELECT count(*) FROM decision WHERE from_state IN ('canceled', 'incomplete_expired')"
    assert execute(lives).fetchone()[0] == 0


def test_orders_of_every_lifecycle_on_postgresql(figure: Figure, server: Server) -> None:
    """The same on PostgreSQL, where units of work run side by side: each commit a share of the orders."""
    share = size("POSTGRES_SHARE", 24, 1)
    histories, deliveries, asked = asyncio.run(_all_lifecycles(server.new_database(), share))
    figure(4, f"PostgreSQL: {histories} orders (1 in {share}) of {len(LIFECYCLES)} lifecycles, all doubled: "
              f"{deliveries} deliveries, {asked} questions left at the end, every user right")  # fmt: skip


def _long_order(seed: int, events: int) -> Order:
    """Return a random history of deliveries: each event once to four times, anywhere."""
    rng = random.Random(seed)
    order = [number for number in range(events) for _ in range(rng.choice((1, 1, 2, 2, 4)))]
    rng.shuffle(order)
    return rng.randrange(len(MIXES)), tuple(order), rng.random() < 0.4


async def _long_histories(url: str, seeds: range) -> int:
    deliveries = 0
    async with _store(url) as store:
        for begin in range(seeds.start, seeds.stop, SIDE_BY_SIDE * 8):
            some = range(begin, min(begin + SIDE_BY_SIDE * 8, seeds.stop))
            for number, life in enumerate(LIFECYCLES):
                its = [seed for seed in some if seed % len(LIFECYCLES) == number]
                orders = [_long_order(seed, len(life.told(MIXES[0]))) for seed in its]
                deliveries += (await _live_through(store, life, orders, f"s{begin}n{number}x", its))[0]
    return deliveries


def test_random_longer_histories(figure: Figure, tmp_path: Path) -> None:
    """Seeded histories with up to four deliveries of each event, anywhere, end right."""
    count = size("LONG_HISTORIES", 1_000, 100_000)
    seeds = range(first_seed(), first_seed() + count)
    deliveries = asyncio.run(_long_histories(f"sqlite:///{tmp_path / 'interlock.db'}", seeds))
    figure(4, f"SQLite: {count} seeded histories of up to 24 deliveries, {deliveries} in all, every user right")
