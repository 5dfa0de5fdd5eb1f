"""Raw payloads go when RETENTION_DAYS says so, with no sweep and no Stripe; what was decided stays."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from interlock.engine.config import Config
from interlock.engine.interlock import Interlock
from tests.engine.conftest import SECRET, make_config
from tests.kit.bodies import T0, Life, Sub, body_of, signed
from tests.kit.clock import Clock

pytestmark = pytest.mark.anyio
DAY = 86_400


def kept(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "interlock.db")) as database:
        query = "SELECT count(*), count(payload), (SELECT count(*) FROM decision) FROM event"
        return list(database.execute(query).fetchone())


@asynccontextmanager
async def opened(config: Config) -> AsyncGenerator[Interlock]:
    engine = await Interlock.open(config)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.mark.parametrize(("days", "left"), [(1, 1), (3, 3), (0, 3)])
async def test_old_payloads_are_forgotten_without_a_sweep(tmp_path: Path, days: int, left: int) -> None:
    """RECONCILE_EVERY=0, Stripe out of reach: payloads older than the setting are gone soon, 0 keeps all."""
    clock = Clock(T0)
    config = make_config(tmp_path, clock, retention_days=days)
    life = Life(Sub())
    told = [life.create(), life.update(T0 + 1, cancel_at=T0 + 90 * DAY), life.update(T0 + 2, cancel_at=None)]
    for event in told:
        async with opened(config) as engine:
            body = body_of(event)
            await engine.receive(body, signed(body, SECRET, clock()).encode())
        clock.at += DAY
    async with opened(config):
        for turn in range(250):
            await asyncio.sleep(0.02)
            if turn > 10 and kept(tmp_path)[1] == left:
                break
    assert kept(tmp_path) == [3, left, 3]
