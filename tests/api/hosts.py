"""Applications that embed Interlock under /billing: one of each kind, with a sign-in and an error handler of its own.

    python -m tests.api.hosts starlette 8000

`user_of` reads what a real host's session would have left in the scope: here, from a header.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import uvicorn
from django.conf import settings as django_settings  # pyright: ignore[reportMissingTypeStubs]
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.connection import Request
from litestar.response import Response
from litestar.types import HTTPScope
from starlette.applications import Starlette
from starlette.routing import Mount

import interlock

PREFIX: Final = "/billing"
Host = tuple[Any, Callable[[], "interlock.Interlock"]]
"""The host's ASGI application, and what gives its engine."""


def user_of(scope: HTTPScope) -> str | None:
    """Name the user whom the host has signed in."""
    given = [value.decode() for name, value in scope["headers"] if name == b"x-signed-in"]
    return given[0] if given else None


def starlette(settings: interlock.Settings) -> Host:
    billing = interlock.asgi(settings, user_of=user_of)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        async with billing.lifespan():
            yield

    return Starlette(routes=[Mount(PREFIX, cast("Any", billing))], lifespan=lifespan), lambda: billing.interlock


def fastapi(settings: interlock.Settings) -> Host:
    billing = interlock.asgi(settings, user_of=user_of)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        async with billing.lifespan():
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount(PREFIX, cast("Any", billing))
    return app, lambda: billing.interlock


def django(settings: interlock.Settings) -> Host:
    """Django has no mount and no lifespan: a few lines beside `get_asgi_application` send both where they belong."""
    if not django_settings.configured:
        cast("Any", django_settings).configure(ROOT_URLCONF="tests.api.hosts", SECRET_KEY="x", ALLOWED_HOSTS=["*"])
    from django.core.asgi import get_asgi_application  # pyright: ignore[reportMissingTypeStubs]

    billing = interlock.asgi(settings, user_of=user_of)
    pages = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await billing(scope, receive, send)
        elif scope["path"].startswith(PREFIX + "/"):
            await billing({**scope, "root_path": PREFIX}, receive, send)
        else:
            await pages(scope, receive, send)

    return application, lambda: billing.interlock


urlpatterns: list[Any] = []


@get("/own")
async def own() -> dict[str, str]:
    return {"whose": "the host's"}


@get("/own-fault")
async def own_fault() -> None:
    raise ZeroDivisionError


def _own_handler(_: Request[Any, Any, Any], __: Exception) -> Response[str]:
    return Response("the host's words", status_code=500, media_type="text/plain")


def litestar(settings: interlock.Settings) -> Host:
    plugin = interlock.InterlockPlugin(PREFIX, settings=settings, user_of=user_of)
    app = Litestar(
        [own, own_fault], plugins=[plugin], exception_handlers={Exception: _own_handler}, logging_config=None
    )
    return app, lambda: plugin.interlock


HOSTS: Final = {host.__name__: host for host in (starlette, fastapi, django, litestar)}

if __name__ == "__main__":
    kind, port = sys.argv[1:]
    host, _ = HOSTS[kind](interlock.load_settings(with_tokens=False))
    uvicorn.run(host, port=int(port), log_level="warning")
