"""The server beneath the service: uvicorn with bounds it lacks, and an end that streams hear of.

httptools puts no bound on a request's head, in bytes or in time; and uvicorn waits for its connections before it
tells the application that it stops, while an event stream waits for the application.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, cast

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess

from api.app import close_streams
from engine.errors import BadConfiguration

MAX_HEAD: Final = 1024 * 1024
HEAD_WITHIN: Final = 30.0
KEEP_ALIVE: Final = 75
MAX_CONNECTIONS: Final = 4096
STOP_WITHIN: Final = 10

LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"lines": {"()": "api.server.OneLine"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["lines"]},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"uvicorn": {"level": "WARNING"}},
}


class OneLine:
    """A log filter: a start that failed is told in one line by the application, so the server's trace is left out."""

    def filter(self, record: Any) -> bool:
        words = str(record.msg)
        told = "Traceback (most recent call last)" in words or words.startswith("Application startup failed")
        return not (record.name == "uvicorn.error" and told)


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _head = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until the first request, whatever it declares
        if cycle is None or cycle.response_complete:
            if self._timer is None:
                self._await_head()
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._head_is_here()
                self.send_400_response("The request's head is too long.")
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def shutdown(self) -> None:
        """Called for each connection when the server begins to stop."""
        app = cast("object", self.config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        if isinstance(app, Litestar):
            close_streams(app)
        super().shutdown()

    def _await_head(self) -> None:
        self._head = 0
        self._timer = self.loop.call_later(HEAD_WITHIN, self._too_slow)

    def _head_is_here(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


def server_config(app: Any, workers: int = 1) -> uvicorn.Config:
    """Return how every server of ours runs.  No proxy header is believed: nothing here depends on one."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        log_level=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STOP_WITHIN,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raise BadConfiguration, in words, where the port can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadConfiguration(f"can't listen on {host} port {port}: {reason}") from None
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


def serve(app: Any, bound: socket.socket, workers: int, on_start: Callable[[], None]) -> bool:
    """Serve until a signal ends it; return False where the service could not start.

    For more than one worker `app` is the import name of a factory.
    """
    config = server_config(app, workers=workers)
    if workers > 1:
        on_start()
        Multiprocess(config, sockets=[bound]).run()
        return True
    try:
        _Announced(config, on_start).run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # uvicorn raises the signal again once it has stopped cleanly
    except SystemExit:
        return False
    return True


class _Announced(uvicorn.Server):
    """Says so once it takes connections."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()


class Companion(uvicorn.Server):
    """One of several servers in one event loop: whoever runs them handles the signals."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()
