"""The server beneath the service: how it is set up, listens, starts, and stops."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final, Literal

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from interlock.api.http.logs import logging_config
from interlock.engine import errors

log = logging.getLogger("interlock")

TESTED: Final = ((0, 50), (0, 54))
"""The oldest and the newest minor of uvicorn whose private methods `connection` was tested with; see pyproject.toml."""
KEEP_ALIVE: Final = 75
MAX_CONNECTIONS: Final = 16_384
"""At most so many at a time, streams included; fewer where the process may not have so many files open."""
_OTHER_FILES: Final = 128
START_WITHIN: Final = 60
STOP_WITHIN: Final = 10


def most_connections() -> int:
    """Return how many connections this process takes, after it has raised how many files it may open."""
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _at_most(soft, wanted) < wanted:
        with suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (_at_most(hard, wanted), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, _at_most(soft, wanted) - _OTHER_FILES)


def _at_most(limit: int, wanted: int) -> int:
    return wanted if limit == resource.RLIM_INFINITY else min(limit, wanted)


def bounded_protocol(version: str = uvicorn.__version__) -> type[asyncio.Protocol] | Literal["httptools"]:
    """Return the class of a connection: ours, or uvicorn's own where ours was not tested with this uvicorn.

    Ours bounds slow and silent clients by overriding private methods of uvicorn's.
    """
    try:
        from interlock.api.http.connection import BoundedHttp  # not at the head: another uvicorn may lack the names

        if TESTED[0] <= tuple(int(part) for part in version.split(".")[:2]) <= TESTED[1]:
            return BoundedHttp
    except ImportError:
        pass
    oldest, newest = (f"{major}.{minor}" for major, minor in TESTED)
    log.warning(
        "uvicorn %s was not tested (%s to %s are): slow clients are not bounded here, put a proxy before the service",
        *(version, oldest, newest),
    )
    return "httptools"


def server_config(
    app: Any,
    workers: int = 1,
    *,
    date_header: bool = True,
    logs: dict[str, Any] | None = None,
    version: str = uvicorn.__version__,
) -> uvicorn.Config:
    """Return how every server of ours runs.  No proxy header is believed: nothing here depends on one.

    Without `date_header` the application dates its answers itself, as one that lives on another clock must.
    """
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        loop="uvloop",
        http=bounded_protocol(version),
        ws="none",
        lifespan="on",
        log_config=logs or logging_config(),
        log_level=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=date_header,
        limit_concurrency=most_connections(),
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STOP_WITHIN,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raise errors.BadConfiguration, in words, where the port can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise errors.BadConfiguration(f"can't listen on {host} port {port}: {reason}") from None
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


def serve(
    app: Any,
    bound: socket.socket,
    workers: int,
    on_start: Callable[[], None],
    logs: dict[str, Any] | None = None,
) -> bool:
    """Serve until a signal ends it; return False where the service could not start.

    For more than one worker `app` is the import name of a factory.
    """
    config = server_config(app, workers=workers, logs=logs)
    if workers > 1:
        parent = _Workers(config, bound, on_start)
        parent.run()
        return not parent.failed
    try:
        _Announced(config, on_start).run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # uvicorn raises the signal again once it has stopped cleanly
    except SystemExit:
        return False
    return True


def calm_collector() -> None:
    """Let Python look for cycles less often: after 10,000 new objects, not 700, and never in what is there at start.

    Cyclic garbage collection cost 5 % of the CPU and set the 99th percentile; a request leaves no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


class _Workers(Multiprocess):
    """Several processes on one socket; says so once all of them take connections."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket, on_start: Callable[[], None]) -> None:
        super().__init__(config, [bound])
        self._on_start = on_start

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(START_WITHIN, self.should_exit) for process in self.processes):
            self._on_start()

    @property
    def failed(self) -> bool:
        """Whether a worker could not start, which ends them all."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)


class _Announced(uvicorn.Server):
    """Says so once it takes connections."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        calm_collector()
        self._on_start()


class Companion(uvicorn.Server):
    """One of several servers in one event loop; the code that runs them handles the signals."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()
