"""The live streams of this process: who waits for which user's state to change."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager


class Watch:
    """One waiter.  A change between two looks is not missed, and several count as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Let the waiter look again."""
        self._event.set()

    async def changed(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's ping interval
        """Wait for a change, at most `timeout` seconds; returns whether one came."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Hub:
    """The watches of each user."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}

    @contextmanager
    def watch(self, user_id: str) -> Generator[Watch]:
        """Watch a user for the length of the block."""
        watch = Watch()
        self._watches.setdefault(user_id, set()).add(watch)
        try:
            yield watch
        finally:
            others = self._watches[user_id]
            others.discard(watch)
            if not others:
                del self._watches[user_id]

    def publish(self, user_ids: Iterable[str]) -> None:
        """Wake those who watch these users."""
        for user_id in user_ids:
            for watch in self._watches.get(user_id, ()):
                watch.wake()

    def changed_elsewhere(self, user_ids: Iterable[str] | None) -> None:
        """Another process changed these users; None: it is not known which, so all look again."""
        self.publish(tuple(self._watches) if user_ids is None else user_ids)
