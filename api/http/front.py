"""A plain ASGI front: it answers the busiest routes itself and passes everything else on.

Finding and calling a Litestar handler costs more than all that these routes do.  Their handlers stand in Litestar's
route table too, for the OpenAPI document, for requests that are not exactly theirs (another method, a trailing slash)
and for a Litestar host that has no front; both ways call the same function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from litestar.response import Response
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
)

from interlock.api.http.headers import ALWAYS
from interlock.api.http.problems import Said, explain

Headers: TypeAlias = list[tuple[bytes, bytes]]
Way: TypeAlias = Callable[[HTTPScope, Receive, Send], Awaitable[None]]
JSON: Final = (b"content-type", b"application/json")
_ALWAYS: Final = tuple(ALWAYS.items())


class Front:
    """Knows the ways of a few requests by method and path; `app` answers all others.

    A path may have `{}` as its second part, for any name: `/features/{}`.
    """

    def __init__(self, app: ASGIApp, ways: Mapping[tuple[str, str], Way]) -> None:
        self._app = app
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._way(scope["method"], path_within(scope)) if scope["type"] == "http" else None
        if way is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def tracked(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await way(scope, receive, tracked)
        except Exception as error:
            if begun:
                raise
            said = explain(error, lambda: f"{scope['method']} {path_within(scope)}")
        else:
            return
        await tell(send, said)

    def _way(self, method: str, path: str) -> Way | None:
        way = self._ways.get((method, path))
        parts = path.split("/", 4) if way is None else ()
        if len(parts) < 3 or not parts[2]:
            return way
        return self._ways.get((method, "/".join((*parts[:2], "{}", *parts[3:]))))


def path_within(scope: HTTPScope) -> str:
    """Return the path without the prefix that this is mounted at; some hosts leave it in the path."""
    root: str = cast("dict[str, Any]", scope).get("root_path", "")  # not every server has one
    path = scope["path"]
    return path[len(root) :] if root and path.startswith(root) else path


def head(status: int, headers: Headers) -> HTTPResponseStartEvent:
    """Begin an answer, with the headers that every answer has."""
    return {"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]}


async def reply(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    length = () if status == 304 else ((b"content-length", b"%d" % len(body)),)
    content: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
    await send(head(status, [*headers, *length]))
    await send(content)


async def tell(send: Send, said: Said, *more: tuple[bytes, bytes]) -> None:
    """Send a problem, with headers beside its own."""
    own = [(name.lower().encode(), value.encode("latin-1")) for name, value in said.headers.items()]
    await reply(send, said.status, [*own, *more], said.body)


class Answered(Response[Any]):
    """A Litestar response that is an ASGI function: what a handler returns whose route the front knows too."""

    def __init__(self, way: Way) -> None:
        super().__init__(None)
        self._way = way

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._way
