"""Runs the units that count, and projects a user first where what they hold has changed by the clock alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from interlock.engine.config import Config
from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.features import is_known
from interlock.engine.errors import StoreUnavailable, UnknownFeature
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.projection import touch
from interlock.engine.units.usage import DAY, REMEMBERED

T = TypeVar("T")

log = logging.getLogger("interlock.usage")

_TRIES: Final = 3
_FORGET_SECONDS: Final = 3600.0


class Counting:
    """What the commands that count share."""

    def __init__(self, store: Store, runner: Runner, config: Config) -> None:
        self._store = store
        self._runner = runner
        self._config = config

    @property
    def catalogue(self) -> Catalogue:
        """What is sold now."""
        return self._config.catalogue

    @property
    def now(self) -> float:
        """Seconds since 1970, by the service's clock."""
        return self._config.clock()

    def require(self, feature: str) -> None:
        """Raise UnknownFeature where the catalogue does not name it: a misspelled name must never be allowed."""
        if not is_known(feature, self.catalogue):
            raise UnknownFeature(f"The plan catalogue has no feature {feature!r}.")

    async def run(self, user_id: str, unit: Callable[[Unit], Work[T | None]]) -> T:
        """Run a unit about a user; one that returns None again after that they are projected.

        Raises StoreUnavailable.
        """
        for _ in range(_TRIES):
            done = await self._runner.run(unit, about=(user_id,))
            if done is not None:
                return done
            await self._project(user_id)
        raise StoreUnavailable("what the user holds changes too fast")

    async def read(self, user_id: str, reading: Callable[[str, Catalogue, int], Work[T | None]]) -> T:
        """Read something of a user, in the same way.  Raises StoreUnavailable."""
        for _ in range(_TRIES):
            now, catalogue = int(self._config.clock()), self.catalogue
            found = await self._store.read(lambda now=now, catalogue=catalogue: reading(user_id, catalogue, now))
            if found is not None:
                return found
            await self._project(user_id)
        raise StoreUnavailable("what the user holds changes too fast")

    async def _project(self, user_id: str) -> None:
        await self._runner.run(lambda unit: touch(user_id, unit), about=(user_id,))

    async def forget(self) -> None:
        """Forget, now and every hour, the ids, holds and meter events that are old; of several nodes one does."""
        while True:
            try:
                async with self._store.alone("usage", _FORGET_SECONDS / 2) as mine:
                    now = int(self.now)
                    while mine and await self._store.write(lambda now=now: _forget(now)):
                        pass
            except StoreUnavailable as error:
                log.warning("old usage could not be forgotten: %s", error)
            await asyncio.sleep(_FORGET_SECONDS)


def _forget(now: int) -> Work[int]:
    """Forget some of what is old, few enough that nobody waits for it; returns how much."""
    before = now - REMEMBERED
    answers = yield from records.forget_answers(before)
    holds = yield from records.forget_holds(before)
    events = yield from records.forget_meter_events(before - 5 * DAY)
    return answers + holds + events
