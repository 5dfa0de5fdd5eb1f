"""uvicorn's side of one request, with one write for an answer that is whole.

uvicorn writes head and body apart and matches two patterns against each header each time: a third of what a small
answer costs it.  Here the head waits for the body, and a header line is checked when it is first seen.  Whatever
is not one plain answer of known length takes uvicorn's own way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent

_NOT_PLAIN: Final = frozenset((b"connection", b"transfer-encoding"))


@lru_cache(maxsize=2048)
def _line(name: bytes, value: bytes) -> bytes:
    """Return a header's line; raise RuntimeError, as uvicorn does, where it would be none."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("Invalid HTTP header.")
    return name.lower() + b": " + value + b"\r\n"


class WholeAnswer(RequestResponseCycle):
    """Holds the head of an answer until its body is there, where that is promised to come as one."""

    _held: HTTPResponseStartEvent | None = None
    _length = 0

    async def send(self, message: ASGISendEvent) -> None:
        """Take one ASGI message of the answer."""
        if message["type"] == "http.response.start" and not self.response_started and self._is_plain(message):
            self._held = message
            return
        held, self._held = self._held, None
        if held is None:
            await super().send(message)
        elif message["type"] == "http.response.body" and self._is_whole(message.get("body", b""), message):
            self._write(held, message.get("body", b""))
        else:
            await super().send(held)
            await super().send(message)

    def _is_plain(self, start: HTTPResponseStartEvent) -> bool:
        """Whether it says how long it is (a 304 has nothing behind its head), and the connection goes on."""
        length = 0 if start["status"] == 304 else -1
        for name, value in start.get("headers", ()):
            if name == b"content-length":
                length = int(value)
            elif name in _NOT_PLAIN:
                return False
        self._length = length
        return length >= 0 and self.keep_alive and self.scope["method"] != "HEAD"

    def _is_whole(self, body: bytes, message: ASGISendEvent) -> bool:
        more = message.get("more_body", False)
        return len(body) == self._length and not (more or self.flow.write_paused or self.disconnected)

    def _write(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        lines = [_line(name, value) for name, value in (*self.default_headers, *start.get("headers", ()))]
        self.transport.write(b"".join((STATUS_LINE[start["status"]], *lines, b"\r\n", body)))
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.message_event.set()
        self.on_response()
