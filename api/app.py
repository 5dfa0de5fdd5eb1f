"""The composition root: settings in, an ASGI application out.  Everything is put together here and only here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from litestar import Litestar, Response, Router
from litestar.config.app import AppConfig
from litestar.exceptions import NotFoundException
from litestar.plugins import InitPlugin

from interlock.api.clock import FollowedClock
from interlock.api.http.cors import Cors
from interlock.api.http.front import Front, tell
from interlock.api.http.headers import add_security_headers, page_policy
from interlock.api.http.limits import Admission, TokenBuckets
from interlock.api.http.problems import HANDLERS, say
from interlock.api.http.server import calm_collector
from interlock.api.routes import billing, busiest, interlock_router, webhooks
from interlock.api.runtime import NOT_STARTED, Runtime, UserOf
from interlock.api.schema.docs import openapi
from interlock.api.settings import Settings, load_settings
from interlock.engine import Config, Interlock


class InterlockApp:
    """The service as one ASGI application, to be served alone or mounted in another.

    Mounted, its lifespan is not run by the host: enter `lifespan()` in the host's own.  Until then every request is
    answered 503.
    """

    def __init__(self, runtime: Runtime, extra: Sequence[Router] = ()) -> None:
        self.runtime = runtime
        self.litestar = _litestar(runtime, extra)
        front = Front(cast("Any", self.litestar), busiest(runtime))
        origins = runtime.settings.cors_origins
        self._front = Cors(front, origins, credentials=runtime.signs_in_itself) if origins else front

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection; untyped, since each framework has types of its own for ASGI."""
        if scope["type"] == "http" and not self.runtime.is_running:
            await tell(send, say("not_started", NOT_STARTED))
        else:
            await self._front(scope, receive, send)

    @property
    def interlock(self) -> Interlock:
        """The engine, while the lifespan is entered."""
        return self.runtime.interlock

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Open the engine for the length of a block.  Raises BadConfiguration."""
        return self.litestar.lifespan()

    def on_stop(self) -> None:
        """End every open stream cleanly.  A server calls it when it begins to stop: it waits for its connections.

        Our own server does so, and under uvicorn it is noticed without; a host on another server may call it.
        """
        self.runtime.streams.close()


def create_app(
    settings: Settings | None = None, *, config: Config | None = None, extra: Sequence[Router] = ()
) -> InterlockApp:
    """Make the service.  Without settings they are read from the environment; `config` overrides the engine's.

    `extra` are further routes beside the service's own: the sandbox's page.
    """
    return InterlockApp(make_runtime(settings or load_settings(), config), extra)


def asgi(settings: Settings | None = None, *, user_of: UserOf | None = None) -> InterlockApp:
    """Make the service to be mounted in an application of yours: `app.mount("/billing", interlock_app)`.

    Enter `interlock_app.lifespan()` in your own lifespan.  `user_of` names the user of a request from what your own
    sign-in left in the ASGI scope, in place of bearer tokens.  Raises BadConfiguration.
    """
    settings = settings or load_settings(with_tokens=user_of is None)
    return InterlockApp(make_runtime(settings, user_of=user_of))


def worker() -> InterlockApp:
    """Make the application of one of several worker processes, from the environment."""
    app = create_app()
    calm_collector()
    return app


def make_runtime(settings: Settings, config: Config | None = None, user_of: UserOf | None = None) -> Runtime:
    """Put together what the routes need.  Raises BadConfiguration where the plan catalogue is wrong."""
    return Runtime(
        settings,
        config
        or settings.engine_config(FollowedClock(settings.sandbox_clock) if settings.sandbox_clock else time.time),
        admission=Admission(webhooks.MAX_WAITING, webhooks.MAX_BYTES_WAITING),
        buckets=TokenBuckets(billing.BURST, billing.PER_SECOND),
        user_of=user_of,
    )


def _litestar(runtime: Runtime, extra: Sequence[Router]) -> Litestar:
    return Litestar(
        [interlock_router(runtime), *extra],
        lifespan=[runtime.serving],
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
