"""uvicorn's side of one request, with one write for an answer that is whole.

uvicorn writes head and body apart and matches two patterns against each header each time: a third of what a small
answer costs it.  Here the head waits for the body, and headers are checked when they are first seen together.
Whatever is not one plain answer of known length takes uvicorn's own way.
"""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from interlock.api.http.front import reply
from interlock.api.http.problems import bare

if TYPE_CHECKING:
    from litestar.types import Send
    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
_NOT_PLAIN: Final = frozenset((b"connection", b"transfer-encoding"))


@lru_cache(maxsize=2048)
def _lines(headers: Headers) -> bytes:
    """Return headers as they are sent; raise RuntimeError, as uvicorn does, where one would be none."""
    for name, value in headers:
        if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
            raise RuntimeError("Invalid HTTP header.")
    return b"".join(name.lower() + b": " + value + b"\r\n" for name, value in headers)


@lru_cache(maxsize=2048)
def _length(status: int, headers: Headers) -> int | None:
    """Return how long the body is said to be (a 304 has none); None where the answer is not a plain one."""
    given = dict(headers)
    if _NOT_PLAIN & given.keys():
        return None
    length = b"0" if status == 304 else given.get(b"content-length")
    return None if length is None else int(length)


class WholeAnswer(RequestResponseCycle):
    """Holds the head of an answer until its body is there, where that is promised to come as one."""

    _held: HTTPResponseStartEvent | None = None
    _headers: Headers = ()
    _promised = 0

    async def send(self, message: ASGISendEvent) -> None:
        """Take one ASGI message of the answer."""
        held, self._held = self._held, None  # a second head, uvicorn's own 500, comes in place of one that waits
        if message["type"] == "http.response.start" and not self.response_started and self._is_plain(message):
            self._held = message
        elif held is None or message["type"] == "http.response.start":
            await super().send(message)
        elif message["type"] == "http.response.body" and self._is_whole(message.get("body", b""), message):
            self._write(held["status"], message.get("body", b""))
        else:
            await super().send(held)
            await super().send(message)
        if self.response_complete and self.body:
            self.body = bytearray()  # nobody reads it any more, and the connection may stay for long

    async def send_500_response(self) -> None:
        """Called where the application failed, or was given up because the server stops."""
        status, headers, body = bare("stopping" if isinstance(sys.exception(), asyncio.CancelledError) else "internal")
        await reply(cast("Send", self.send), status, headers, body)

    def _is_plain(self, start: HTTPResponseStartEvent) -> bool:
        """Whether it says how long it is, and the connection goes on."""
        self._headers = tuple((name, value) for name, value in start.get("headers", ()))
        length = _length(start["status"], self._headers)
        self._promised = length or 0
        return length is not None and self.keep_alive and self.scope["method"] != "HEAD"

    def _is_whole(self, body: bytes, message: ASGISendEvent) -> bool:
        more = message.get("more_body", False)
        return len(body) == self._promised and not (more or self.flow.write_paused or self.disconnected)

    def _write(self, status: int, body: bytes) -> None:
        dated = _lines(tuple(self.default_headers))
        self.transport.write(b"".join((STATUS_LINE[status], dated, _lines(self._headers), b"\r\n", body)))
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.message_event.set()
        self.on_response()
