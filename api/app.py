"""The composition root: settings in, a Litestar application out.  Everything is put together here and only here."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from litestar import Litestar, Response, Router
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.plugins import InitPlugin

from interlock.api.auth.tokens import Tokens
from interlock.api.demo.page import DemoSettings, demo_router
from interlock.api.http.front import Service
from interlock.api.http.headers import add_security_headers, page_policy
from interlock.api.http.limits import Admission, TokenBuckets
from interlock.api.http.problems import HANDLERS
from interlock.api.routes import billing, diagrams, health, subscription, webhooks
from interlock.api.routes.stream import Streams
from interlock.api.schema.docs import openapi
from interlock.api.settings import Settings, load_settings
from interlock.engine.config import Config
from interlock.engine.errors import InterlockError
from interlock.engine.interlock import Interlock

log = logging.getLogger("interlock")

ROUTES: Final = (
    webhooks.receive_event,
    subscription.read_subscription,
    subscription.stream_subscription,
    subscription.read_history,
    subscription.draw_subscription,
    billing.create_checkout,
    billing.create_portal,
    billing.list_plans,
    diagrams.show_machine,
    diagrams.draw_svg,
    diagrams.draw_mermaid,
    diagrams.draw_dot,
    health.live,
    health.ready,
    health.metrics,
)


def create_app(
    settings: Settings | None = None, *, config: Config | None = None, demo: DemoSettings | None = None
) -> Litestar:
    """Make the service.  Without settings they are read from the environment; `config` overrides the engine's.

    `demo` mounts the sandbox's page, and holds what it needs to know; a real service has none.
    """
    settings = settings or load_settings()
    config = config or settings.engine_config()
    quiet_libraries()
    return Service(
        [*ROUTES, *_demo_routes(demo)],
        lifespan=[_serving],
        state=State(
            {
                "config": config,
                "tokens": Tokens(settings.tokens, config.clock),
                "admin_token": settings.admin_token,
                "streams": Streams(),
                "admission": Admission(webhooks.MAX_WAITING, webhooks.MAX_BYTES_WAITING),
                "buckets": TokenBuckets(billing.BURST, billing.PER_SECOND),
            }
        ),
        dependencies={
            name: Provide(provide, sync_to_thread=False)
            for name, provide in (
                ("interlock", _interlock),
                ("config", _config),
                ("streams", _streams),
                ("admission", _admission),
                ("buckets", _buckets),
            )
        },
        exception_handlers=dict(HANDLERS),
        before_send=[add_security_headers],
        openapi_config=openapi(installed_version()),
        plugins=[_StrictSchemaRoutes()],
        request_max_body_size=billing.MAX_BODY,
        logging_config=None,
        debug=False,
    )


@asynccontextmanager
async def _serving(app: Litestar) -> AsyncGenerator[None]:
    """Open the engine for as long as the service runs; streams end before it closes."""
    try:
        interlock = await Interlock.open(app.state.config)
    except Exception as error:
        # One line here instead of the server's trace, which would also hold what the error quotes.
        log.critical("can't start: %s", error if isinstance(error, InterlockError) else type(error).__name__)
        raise
    app.state.interlock = interlock
    try:
        yield
    finally:
        close_streams(app)
        await app.state.tokens.close()
        await interlock.close()


def close_streams(app: Litestar) -> None:
    """End every open stream cleanly.  A server calls it when it begins to stop: it waits for its connections."""
    streams: Streams = app.state.streams
    streams.close()


def quiet_libraries() -> None:
    """Keep out of the log what would be noise there, or would quote requests to Stripe."""
    for name in ("transitions", "stripe", "httpx", "httpcore", "aiosqlite"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _interlock(state: State) -> Interlock:
    return state.interlock


def _config(state: State) -> Config:
    return state.config


def _streams(state: State) -> Streams:
    return state.streams


def _admission(state: State) -> Admission:
    return state.admission


def _buckets(state: State) -> TokenBuckets:
    return state.buckets


def installed_version() -> str:
    """Return the version that is installed; a checkout that is not has none."""
    try:
        return version("interlock")
    except PackageNotFoundError:
        return "0"


def _demo_routes(demo: DemoSettings | None) -> list[Router]:
    return [] if demo is None else [demo_router(demo)]


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
