"""A user's state as server-sent events: one task that speaks, one that notices the reader leaving.

Thousands of them are open at a time and idle nearly always, so each holds as little as it can.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

from litestar.types import HTTPResponseBodyEvent, Receive, Send

from interlock.api.auth.tokens import User
from interlock.api.http.front import head
from interlock.api.runtime import Runtime
from interlock.engine import InterlockError, Shown, Watch

log = logging.getLogger("interlock.stream")

PING_EVERY: Final = 15.0
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def encode_event(shown: Shown) -> bytes:
    """Write one event.  The state's JSON is one line, so it is one `data:` line."""
    return b"id: %d\nevent: subscription\ndata: %b\n\n" % (shown.version, shown.body)


class EventStream:
    """The answer of one connection; what it holds is given back however it ends."""

    def __init__(self, user: User, runtime: Runtime) -> None:
        self._user = user
        self._interlock = runtime.interlock
        self._streams = runtime.streams
        self._clock = runtime.config.clock

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Take one of the user's places, read the state, then send each change until one of the two sides ends it.

        Raises ApiError (429) where the user has too many open, and StoreUnavailable.
        """
        self._streams.slots.take(self._user.id)
        try:
            # Watched before it is read, so that no change falls between the two.
            with self._interlock.watch(self._user.id) as watch:
                first = await self._interlock.shown(self._user.id)
                await send(head(200, _HEADERS))
                self._streams.watches.add(watch)
                speaking = asyncio.create_task(self._speak(first, watch, send))
                try:
                    await _left(receive)  # also once we have ended the answer ourselves
                finally:
                    self._streams.watches.discard(watch)
                    speaking.cancel()
                    await asyncio.gather(speaking, return_exceptions=True)
        finally:
            self._streams.slots.give_back(self._user.id)

    async def _speak(self, first: Shown, watch: Watch, send: Send) -> None:
        """Speak until the token ends or the service closes, then end the answer."""
        try:
            await self._tell_changes(first, watch, send)
        except (InterlockError, OSError):
            pass  # the reader comes back and asks again
        except Exception as fault:
            log.error("A stream ended by %s", type(fault).__name__)
        await _write(send, b"", more=False)

    async def _tell_changes(self, first: Shown, watch: Watch, send: Send) -> None:
        shown, told = first, -1
        while not self._streams.closing:
            if shown.version > told:
                await _write(send, encode_event(shown))
                told = shown.version
            left = self._user.expires_at - self._clock()
            if left <= 0:
                return
            if not await watch.changed(min(PING_EVERY, left)):
                await _write(send, b": ping\n\n")
            # Read after a ping too: a change whose notice was lost is then sent with the next ping.
            shown = await self._interlock.shown(self._user.id)


async def _left(receive: Receive) -> None:
    while cast("str", (await receive())["type"]) != "http.disconnect":
        pass


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    event: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": more}
    await send(event)
