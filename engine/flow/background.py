"""What runs by itself beside the asker: the clock, the sweep, and the forgetting of old payloads.

Forgetting has a task of its own, so that personal data goes when the setting says so, whatever becomes of the sweep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from interlock.engine.config import Config
from interlock.engine.errors import InterlockError, StoreUnavailable, place_of
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.sweep import Difference, Sweep
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.prices import look_again, remember
from interlock.engine.units.projection import ask, touch

log = logging.getLogger("interlock")

SWEEP: Final = "sweep"
"""The kind of the one job that says when the next sweep is due."""
_TICK_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 60.0
_CHECK_SECONDS: Final = 60.0
_FORGET_SECONDS: Final = 3600.0
_DAY: Final = 86_400


class Background:
    """The tasks of one service."""

    def __init__(self, store: Store, runner: Runner, sweep: Sweep, config: Config) -> None:
        self.swept = 0
        self.drifted = 0
        self._store = store
        self._runner = runner
        self._sweep = sweep
        self._config = config
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, others: dict[str, Callable[[], Awaitable[None]]]) -> None:
        """Start the tasks, and others by name."""
        work = {**others, "clock": self._follow_clock, "dates": self._check_dates, "memory": self._remember_prices}
        if self._config.reconcile_every > 0:
            work["sweep"] = self._sweep_when_due
        if self._config.retention_days > 0:
            work["retention"] = self._forget_old_payloads
        self._tasks = [asyncio.create_task(_for_ever(name, run), name=name) for name, run in work.items()]

    async def stop(self) -> None:
        """Stop them, and wait until they have."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stopped(self) -> list[str]:
        """Return the names of tasks that run no more; there should be none."""
        return [task.get_name() for task in self._tasks if task.done()]

    async def sweep(self) -> list[Difference]:
        """Sweep once."""
        found = await self._sweep.sweep()
        self.swept += 1
        self.drifted += len({difference.subscription_id for difference in found})
        return found

    async def _sweep_when_due(self) -> None:
        """Sweep `reconcile_every` seconds after the last sweep ended, so at once if that was long before the start."""
        every = self._config.reconcile_every
        while True:
            try:
                await asyncio.sleep(await self._seconds_to_sweep())
                # With several nodes one of them sweeps, and the others find it done.
                async with self._store.alone("sweep", every / 2) as mine:
                    if mine:
                        await self.sweep()
                        await self._store.write(lambda: _next_sweep(self._in_ms(every)))
                if not mine:
                    await asyncio.sleep(min(every, _LOOK_AGAIN_SECONDS))
            except InterlockError as error:
                log.warning("the sweep stopped early: %s", error)
                await asyncio.sleep(every)

    async def _seconds_to_sweep(self) -> float:
        due = (await self._store.read(lambda: records.waiting(SWEEP))).next_due
        if due is None:  # the first start on this database
            due = self._in_ms(self._config.reconcile_every)
            await self._store.write(lambda: _next_sweep(due))
        return max(due / 1000 - self._config.clock(), 0.0)

    def _in_ms(self, seconds: float) -> int:
        return int((self._config.clock() + seconds) * 1000)

    async def _check_dates(self) -> None:
        """Ask about the subscriptions of which a date has passed that must have brought a change, each minute."""
        while True:
            now = int(self._config.clock())
            try:
                for subscription_id in await self._store.read(lambda now=now: records.subscriptions_to_check(now)):
                    await self._runner.run(lambda unit, about=subscription_id: ask(about, unit))
            except StoreUnavailable as error:
                log.warning("subscriptions whose dates have passed could not be asked about: %s", error)
            await asyncio.sleep(_CHECK_SECONDS)

    async def remember(self, prices: dict[str, str]) -> None:
        """Remember which plan each price belongs to."""
        await self._runner.run(lambda unit: remember(prices, unit))

    async def _remember_prices(self) -> None:
        """Remember what the catalogue names, and look again at the prices that no catalogue sold so far."""
        await self.remember(self._config.catalogue.named_prices)
        after = ""
        while page := await self._store.read(lambda after=after: records.subscriptions_of_unknown_price(after)):
            for after, _ in page:
                await self._runner.run(lambda unit, about=after: look_again(about, unit))
        await asyncio.Event().wait()  # the catalogue is read once

    async def _follow_clock(self) -> None:
        """Project the users whose state the clock alone has changed, so that their streams show it."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = int(self._config.clock())
            try:
                for user_id in await self._store.read(lambda now=now: records.users_due(now)):
                    await self._runner.run(lambda unit, user_id=user_id: touch(user_id, unit), about=(user_id,))
            except StoreUnavailable as error:
                log.warning("users whom the clock changed could not be projected: %s", error)

    async def _forget_old_payloads(self) -> None:
        """Drop, now and every hour, payloads older than `retention_days`; of several nodes one does."""
        while True:
            try:
                async with self._store.alone("retention", _FORGET_SECONDS / 2) as mine:
                    before = int(self._config.clock()) - self._config.retention_days * _DAY
                    while mine and await self._store.write(lambda before=before: records.forget_payloads(before)):
                        pass
            except StoreUnavailable as error:
                log.warning("old payloads could not be forgotten: %s", error)
            await asyncio.sleep(_FORGET_SECONDS)


def _next_sweep(due_at: int) -> Work[None]:
    yield from records.enqueue(SWEEP, "", due_at)
    yield from records.postpone(SWEEP, "", due_at)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Keep a background task going: a fault of ours in one round must not end what customers wait for."""
    while True:
        try:
            await run()
        except Exception as error:
            log.error("%s failed and starts again: %s", name, place_of(error))
            await asyncio.sleep(1)
