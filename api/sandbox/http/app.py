"""The sandbox as a Litestar application: Stripe's API, the pages people see, and the control panel."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from litestar import Litestar, asgi
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.types import Receive, Scope, Send

from interlock.api.sandbox.catalogue import stock
from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.http import pages, panel_routes
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.clock import SandboxClock
from interlock.api.sandbox.http.face import Face
from interlock.api.sandbox.http.requests import failed, refused
from interlock.api.sandbox.objects import webhook_endpoints
from interlock.api.sandbox.world import World

LOOPBACK = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


def create_sandbox(
    *,
    public_url: str,
    plans: list[dict[str, Any]],
    webhook_url: str,
    webhook_secret: str,
    app_url: str,
    clock: SandboxClock | None = None,
    data: pathlib.Path | None = None,
    seed: int = 0,
) -> Litestar:
    """The stand-in Stripe with these plans, one webhook endpoint, and perhaps a file to live in."""
    ticking = clock or SandboxClock()
    world = World(seed=seed, now=int(ticking.now()), public_url=public_url)
    box = RunningWorld(world, ticking, app_url=app_url, data=data)
    box.restore()
    box.plans = plans
    for plan in plans:
        world.operate(lambda plan=plan: stock(world, plan))
    world.operate(lambda: webhook_endpoints.listen(world, webhook_url, webhook_secret))
    face, second = Face(box), Face(box, "/v2")

    @asgi("/v1", is_mount=True, copy_scope=False)
    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        await face(scope, receive, send)

    @asgi("/v2", is_mount=True, copy_scope=False)
    async def api_v2(scope: Scope, receive: Receive, send: Send) -> None:
        await second(scope, receive, send)

    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncGenerator[None, None]:
        box.start()
        try:
            yield
        finally:
            await box.stop()

    origin = "{0.scheme}://{0.netloc}".format(urlsplit(app_url))
    return Litestar(
        route_handlers=[api, api_v2, *pages.HANDLERS, *panel_routes.HANDLERS],
        state=State({"sandbox": box}),
        lifespan=[running],
        cors_config=CORSConfig(allow_origins=[origin], allow_origin_regex=LOOPBACK, allow_headers=["*"]),
        exception_handlers={StripeError: refused, Exception: failed},
        openapi_config=None,
        logging_config=None,
    )
