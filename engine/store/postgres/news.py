"""Notifies the other processes on the same database whose state changed (LISTEN/NOTIFY).

The notification follows the commit and is not part of it: a transaction that notifies holds one lock of the whole
database until the disk has it, so commits would queue behind each other.  Changes that gather while one notification
is on its way go into the next, so the volume is bounded whatever the load.  One that is lost (a process killed between
commit and notification) costs a stream one ping: it reads again after each.

Litestar's channels were judged and left out: their asyncpg backend opens a connection for every message, does not
reconnect, and would stand above the engine, which knows nothing of the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from interlock.engine.store import OnForeignChange
from interlock.engine.store.postgres.connector import Connector
from interlock.engine.store.postgres.link import Link

log = logging.getLogger("interlock.postgres")

CHANNEL: Final = "interlock_users"
_MOST_BYTES: Final = 7_500  # PostgreSQL takes 7,999
_MOST_PAYLOADS: Final = 10
_BETWEEN_PAYLOADS: Final = 0.02
_LISTEN_AGAIN: Final = 0.5
_STILL_THERE: Final = 10.0
_ANSWER_SECONDS: Final = 3.0
_EVERYBODY: Final = "null"


class News:
    """One connection that listens and notifies; after it broke and came back, every stream reads again."""

    def __init__(self, connector: Connector, on_news: OnForeignChange) -> None:
        self._connector = connector
        self._on_news = on_news
        self._unsent: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._forever(), name="postgres news")

    def announce(self, users: Iterable[str]) -> None:
        """Notify the other processes soon."""
        self._unsent.update(users)
        if self._unsent:
            self._wake.set()

    async def close(self) -> None:
        """Send what is still unsent, and end."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._task

    async def _forever(self) -> None:
        missed = False
        while not (self._closing and not self._unsent):
            link: Link | None = None
            try:
                link = await self._connector.connect()
                await self._converse(link, missed)
            except Exception as error:  # whatever it is, the streams of this process depend on this task
                missed = True
                self._unsent.clear()
                if self._closing:
                    return
                log.warning("notifications of the other processes do not arrive: %s", type(error).__name__)
                await asyncio.sleep(_LISTEN_AGAIN)
            finally:
                if link is not None:
                    await link.close()

    async def _converse(self, link: Link, missed: bool) -> None:
        link.raw.add_termination_listener(self._lost)
        async with asyncio.timeout(_ANSWER_SECONDS):
            await link.raw.add_listener(CHANNEL, self._received)
        if missed:
            self._on_news(None)
            await self._send(link, [_EVERYBODY])
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _STILL_THERE)
            self._wake.clear()
            users, self._unsent = self._unsent, set()
            await self._send(link, _payloads(users))
            if self._closing and not self._unsent:
                return
            await asyncio.sleep(0 if self._closing else _BETWEEN_PAYLOADS)

    def _lost(self, connection: Any) -> None:
        self._wake.set()

    async def _send(self, link: Link, payloads: list[str]) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            if not payloads:
                await link.execute("SELECT 1")  # is anybody there?
            for payload in payloads:
                await link.raw.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)

    def _received(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        if pid == connection.get_server_pid():
            return
        try:
            self._on_news(msgspec.json.decode(str(payload), type=list[str] | None))
        except msgspec.MsgspecError:
            self._on_news(None)


def _payloads(users: set[str]) -> list[str]:
    """Pack users into as few payloads as fit; where there are too many, return the one that means everybody."""
    payloads = list(_packed(sorted(users)))
    return payloads if len(payloads) <= _MOST_PAYLOADS else [_EVERYBODY]


def _packed(users: list[str]) -> Iterator[str]:
    parts: list[bytes] = []
    size = 0
    for user in users:
        part = msgspec.json.encode(user)
        if parts and size + len(part) + 1 > _MOST_BYTES:
            yield f"[{b','.join(parts).decode()}]"
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{b','.join(parts).decode()}]"
