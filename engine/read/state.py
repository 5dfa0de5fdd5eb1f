"""A user's state, as it was projected; the clock, or another plan catalogue, may have it projected anew first."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from interlock.engine.config import Config
from interlock.engine.core import view
from interlock.engine.core.states import State
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store
from interlock.engine.units import records
from interlock.engine.units.projection import touch
from interlock.engine.units.records import User


class Shown(Struct, frozen=True):
    """A user's state: the JSON, ready to send, and its version."""

    version: int
    body: bytes


class _Brief(Struct):
    """What `path` needs of the state that is shown."""

    state: State
    subscription_id: str | None


class States:
    """Reads what users are shown."""

    def __init__(self, store: Store, runner: Runner, config: Config) -> None:
        self._store = store
        self._runner = runner
        self._config = config

    async def shown(self, user_id: str) -> Shown:
        """Return what a user is shown now.  Raises StoreUnavailable."""
        user = await self._store.read(lambda: records.user(user_id))
        if user is not None and self._is_stale(user):
            await self._runner.run(lambda unit: touch(user_id, unit), about=(user_id,))
            user = await self._store.read(lambda: records.user(user_id))
        if user is None or user.shown is None:
            return Shown(0, view.encode(view.nobody(user_id, self._config.catalogue), 0, 0))
        return Shown(user.version, user.shown)

    def _is_stale(self, user: User) -> bool:
        by_the_clock = user.shown_until is not None and user.shown_until <= self._config.clock()
        return by_the_clock or user.catalogue != self._config.catalogue.digest

    async def path(self, user_id: str) -> tuple[State, list[tuple[State, State]]]:
        """Return a user's state, and the transitions that their subscription took to it, oldest first."""
        shown = msgspec.json.decode((await self.shown(user_id)).body, type=_Brief)
        steps = await self._store.read(lambda: records.steps_of_user(user_id))
        its_own = [step for step in steps if step.subscription_id == shown.subscription_id]
        return shown.state, [(State(step.from_state), State(step.to_state)) for step in reversed(its_own)]
