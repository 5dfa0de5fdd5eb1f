"""The composition root: settings in, an ASGI application out.  Everything is put together here and only here."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, cast

from litestar import Litestar, Response, Router
from litestar.config.app import AppConfig
from litestar.exceptions import NotFoundException
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from interlock.api.http.front import Front
from interlock.api.http.headers import add_security_headers, page_policy
from interlock.api.http.limits import Admission, TokenBuckets
from interlock.api.http.problems import HANDLERS
from interlock.api.http.server import calm_collector
from interlock.api.routes import billing, busiest, interlock_router, webhooks
from interlock.api.runtime import Runtime, UserOf
from interlock.api.schema.docs import openapi
from interlock.api.settings import Settings, load_settings
from interlock.engine import Config, Interlock, InterlockError

log: Final = logging.getLogger("interlock")


class InterlockApp:
    """The service as one ASGI application, to be served alone or mounted in another.

    Mounted, its lifespan is not run by the host: enter `lifespan()` in the host's own.
    """

    def __init__(self, runtime: Runtime, extra: Sequence[Router] = ()) -> None:
        self.runtime = runtime
        self.litestar = _litestar(runtime, extra)
        self._front = Front(cast("Any", self.litestar), busiest(runtime))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._front(scope, receive, send)

    @property
    def interlock(self) -> Interlock:
        """The engine, while the lifespan is entered."""
        return self.runtime.interlock

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Open the engine for the length of a block.  Raises BadConfiguration."""
        return self.litestar.lifespan()

    def on_stop(self) -> None:
        """End every open stream cleanly.  A server calls it when it begins to stop: it waits for its connections."""
        self.runtime.streams.close()


def create_app(
    settings: Settings | None = None, *, config: Config | None = None, extra: Sequence[Router] = ()
) -> InterlockApp:
    """Make the service.  Without settings they are read from the environment; `config` overrides the engine's.

    `extra` are further routes beside the service's own: the sandbox's page.
    """
    return InterlockApp(make_runtime(settings or load_settings(), config), extra)


def worker() -> InterlockApp:
    """Make the application of one of several worker processes, from the environment."""
    app = create_app()
    calm_collector()
    return app


def make_runtime(settings: Settings, config: Config | None = None, user_of: UserOf | None = None) -> Runtime:
    """Put together what the routes need.  Raises BadConfiguration where the plan catalogue is wrong."""
    return Runtime(
        settings,
        config or settings.engine_config(),
        admission=Admission(webhooks.MAX_WAITING, webhooks.MAX_BYTES_WAITING),
        buckets=TokenBuckets(billing.BURST, billing.PER_SECOND),
        user_of=user_of,
    )


def _litestar(runtime: Runtime, extra: Sequence[Router]) -> Litestar:
    @asynccontextmanager
    async def serving(_: Litestar) -> AsyncGenerator[None]:
        try:
            running = await runtime.start()
        except Exception as error:
            # One line here instead of the server's trace, which would also hold what the error quotes.
            log.critical("can't start: %s", error if isinstance(error, InterlockError) else type(error).__name__)
            raise
        async with running:
            yield

    return Litestar(
        [interlock_router(runtime), *extra],
        lifespan=[serving],
        exception_handlers=dict(HANDLERS),
        before_send=[add_security_headers],
        openapi_config=openapi(installed_version()),
        plugins=[_StrictSchemaRoutes()],
        logging_config=None,
        debug=False,
    )


def installed_version() -> str:
    """Return the version that is installed; a checkout that is not has none."""
    try:
        return version("interlock")
    except PackageNotFoundError:
        return "0"


class _StrictSchemaRoutes(InitPlugin):
    """Gives Litestar's own schema routes our 404 and the page's content policy."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        schema = app_config.openapi_config
        assert schema is not None
        schema.openapi_router = Router("/schema", route_handlers=[], include_in_schema=False, after_request=_strict)
        return app_config


async def _strict(response: Response[Any]) -> Response[Any]:
    if response.status_code == 404:
        raise NotFoundException
    if response.media_type == "text/html" and isinstance(response.content, bytes):
        response.headers["Content-Security-Policy"] = page_policy(response.content.decode())
    response.headers["Cache-Control"] = "no-cache"
    return response
