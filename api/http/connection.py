"""One connection of the server's: uvicorn's, with the bounds that it lacks, and a stop that reaches open streams.

httptools puts no bound on a request, in bytes or in time, and takes trailers for headers.  uvicorn waits for ever for
a client that does not read, and its own answers are plain text.  When it stops it waits for its connections first and
tells the application afterwards, while an event stream waits for the application.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final, Protocol, cast, runtime_checkable

from litestar.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from interlock.api.http.front import head, reply
from interlock.api.http.problems import bare

MAX_HEAD: Final = 1024 * 1024
HEAD_WITHIN: Final = 30.0
MAX_MESSAGE: Final = 8 * 1024 * 1024
"""What may follow a head: routes bound the body itself, but not its framing, which a sender may blow up."""
MESSAGE_WITHIN: Final = 30.0
UNREAD_WITHIN: Final = 60.0
"""How long what is written may wait for a reader who takes nothing of it."""


@runtime_checkable
class Stoppable(Protocol):
    """An application that has something to end before the server waits for its connections."""

    def on_stop(self) -> None: ...


class Answering(RequestResponseCycle):
    """One request and its answer; what the server itself has to say of it is a problem like all others."""

    async def send_500_response(self) -> None:
        """Called where the application failed, or was given up because the server stops."""
        status, headers, body = bare("stopping" if isinstance(sys.exception(), asyncio.CancelledError) else "internal")
        await reply(cast("Send", self.send), status, headers, body)


class BoundedHttp(HttpToolsProtocol):
    """One connection.  A head, the message after it, and the reading of an answer have only so much time and room."""

    _in_message = False
    """Whether the head is here and what follows it (body, chunk framing, trailers) is not yet."""
    _received = 0
    _deadline: float | None = None
    _timer: asyncio.TimerHandle | None = None
    """Looks whether the deadline has passed.  It is not put off with each deadline, only when it finds it moved."""
    _unread: asyncio.TimerHandle | None = None
    """Ends the connection whose answers nobody takes."""
    _running: Any = None
    """The request that is being answered; uvicorn's `cycle` is the one that came last, which may wait behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
        self._is_read()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Tell whether to stay: who has no more to say may still wait for the answer, but a stream's reader left."""
        last = cast("Any", self.cycle)
        if last is None or self._in_message or last.response_complete or self._running.chunked_encoding:
            return False
        last.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """Called when too much of an answer waits for its reader."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._running is not None:
            self._running.body = bytearray()  # nobody reads it any more, and the connection may stay for long
        if self.transport.is_closing():
            self._await_the_end()

    def timeout_keep_alive_handler(self) -> None:
        self._hang_up()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._begin(HEAD_WITHIN)
        self._received += len(data)
        if self._received > (MAX_MESSAGE if self._in_message else MAX_HEAD):
            self._deadline = None
            self.send_400_response("The request is too long.")
            return
        super().data_received(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_message:  # a trailer is no header: nobody on the way has looked at it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._begin(MESSAGE_WITHIN)
        self._in_message = True
        super().on_headers_complete()
        if type(self.cycle) is RequestResponseCycle:
            self.cycle.__class__ = Answering
        if cast("Any", self.parser).should_upgrade():
            self.cycle.keep_alive = False  # what follows may be another protocol's

    def on_message_complete(self) -> None:
        self._in_message = False
        self._received = 0
        self._deadline = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say it as a problem, and hang up; only hang up where that would fall into another answer."""
        cycle = cast("Any", self.cycle)  # None until the first request, whatever it declares
        if cycle is None or not cycle.response_started or (cycle.response_complete and not self._in_message):
            _, headers, body = bare("bad_request", msg)
            headers = head(400, [*headers, (b"content-length", b"%d" % len(body))])["headers"]
            lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", b""]
            self.transport.write(b"\r\n".join(lines) + body)
        self._hang_up()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, cast("Any", _crowded) if app is service_unavailable else app)

    def shutdown(self) -> None:
        """Called for each connection when the server begins to stop."""
        app = cast("object", self.config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        if isinstance(app, Stoppable):
            app.on_stop()
        super().shutdown()

    def _begin(self, seconds: float) -> None:
        self._received = 0
        self._deadline = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._look_at(self._deadline)

    def _look_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(time, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            self.transport.abort()
        elif self._deadline is not None and self._deadline > self.loop.time():
            self._look_at(self._deadline)
        elif self._deadline is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.transport.close()
        self._await_the_end()

    def _await_the_end(self) -> None:
        """What was written before is still sent, but a reader who takes none of it keeps nothing open."""
        self._look_at(self.loop.time() + UNREAD_WITHIN)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


async def _crowded(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer one that came when there were as many as may be."""
    status, headers, body = bare("overloaded", "Too many connections; come again.")
    await reply(send, status, headers, body)
