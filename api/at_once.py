"""Routes that are answered by an ASGI function of their own, at a fifth of what Litestar's way to a handler costs.

Their handlers still stand in the route table and in the OpenAPI document, and their guards are asked here as
there.  What is raised goes to the application's exception handlers, as everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from litestar.connection import ASGIConnection
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Receive,
    Scope,
    Send,
)

Headers: TypeAlias = list[tuple[bytes, bytes]]
Function: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
JSON: Final = (b"content-type", b"application/json")


def at_once(function: Function) -> Callable[[ASGIApp], ASGIApp]:
    """Make the middleware of a route that lets `function` answer in place of what lies behind it."""

    def instead(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            handler: Any = scope["route_handler"]
            connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
            for guard in handler.resolve_guards():  # Litestar's own way copies the handler for each of them
                await guard(connection, handler)
            await function(scope, receive, send)

        return answer

    return instead


async def reply(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    length = (b"content-length", b"%d" % len(body))
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": status,
        "headers": headers if status == 304 else [*headers, length],
    }
    content: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(content)
