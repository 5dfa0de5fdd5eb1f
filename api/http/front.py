"""Routes that are answered by an ASGI function of their own, before Litestar looks for a handler.

Finding and calling a handler costs more than all that the busiest routes do.  Their handlers still stand in
the route table and in the OpenAPI document; requests that are not exactly theirs (another method, a trailing
slash) take Litestar's way and come here through the handler's middleware.  Guards are asked and errors answered
as everywhere; of Litestar's hooks only the security headers' is there, and what it does is done by `head`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Receive,
    Scope,
    Send,
)

from interlock.api.http.headers import ALWAYS

Headers: TypeAlias = list[tuple[bytes, bytes]]
Function: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Guards: TypeAlias = Sequence[Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]]
JSON: Final = (b"content-type", b"application/json")
_OPTION: Final = "at_once"
_RAISED: Final = "interlock.raised"
_ALWAYS: Final = tuple(ALWAYS.items())


class AtOnce(NamedTuple):
    """What answers a route: the handler's guards are asked, then the function answers."""

    function: Function
    handler: BaseRouteHandler
    guards: Guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.guards:
            connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
            for guard in self.guards:
                await guard(connection, self.handler)
        await self.function(scope, receive, send)


def at_once(function: Function) -> dict[str, Any]:
    """Return the options of a route that `function` answers in place of its handler."""

    def instead(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            raised = cast("dict[str, Any]", scope).pop(_RAISED, None)
            if raised is not None:
                try:
                    raise raised
                finally:
                    del raised  # else error and frame hold each other, and the request's body, until cycles are sought
            handler = cast("BaseRouteHandler", scope["route_handler"])
            await AtOnce(function, handler, _guards(handler))(scope, receive, send)

        return answer

    return {"middleware": [instead], "opt": {_OPTION: function}}


class Service(Litestar):
    """A Litestar application with a shorter way to the routes that are answered at once."""

    @cached_property
    def _ways(self) -> dict[tuple[str, str], AtOnce]:
        return {
            (method, route.path): AtOnce(handler.opt[_OPTION], handler, _guards(handler))
            for route in self.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            if _OPTION in handler.opt
            for method in handler.http_methods
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        way = self._ways.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if way is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = scope["litestar_app"] = self
        try:
            await way(scope, receive, send)
        except Exception as error:
            scope[_RAISED] = error  # Litestar finds the same route, raises it there, and answers as everywhere
            await super().__call__(scope, receive, send)


def _guards(handler: BaseRouteHandler) -> Guards:
    return cast("Guards", handler.resolve_guards())  # pyright: ignore[reportUnknownMemberType]


def head(status: int, headers: Headers) -> HTTPResponseStartEvent:
    """Begin an answer, with the headers that every answer has."""
    return {"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]}


async def reply(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    length = () if status == 304 else ((b"content-length", b"%d" % len(body)),)
    content: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
    await send(head(status, [*headers, *length]))
    await send(content)
