"""A cache for seconds: Stripe rations reads, and a page that is loaded twice should ask once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

SECONDS: Final = 5.0
MOST: Final = 4096


class ShortCache:
    """Answers by key, kept `SECONDS`; those who ask for one key at the same time share one call.

    The first part of each key is the user, so that `forget` can drop all that is kept of them after a change.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[Hashable, ...], tuple[float, asyncio.Future[Any]]] = OrderedDict()

    async def get(self, key: tuple[Hashable, ...], ask: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept under the key, else what `ask` returns; an error is kept for nobody."""
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < SECONDS and not kept[1].cancelled():
            return cast("T", await asyncio.shield(kept[1]))
        future: asyncio.Future[T] = asyncio.ensure_future(ask())
        self._kept[key] = now, future
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        try:
            return await asyncio.shield(future)
        except BaseException:
            if self._kept.get(key, (0.0, None))[1] is future and future.done():
                del self._kept[key]
            raise

    def forget(self, user_id: str) -> None:
        """Drop what is kept of a user."""
        for key in [key for key in self._kept if key[0] == user_id]:
            del self._kept[key]
