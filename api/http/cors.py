"""Cross-origin requests: which pages of which origins may ask this API from a browser."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from interlock.api.http.front import reply

_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match, idempotency-key, last-event-id"),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Final = (b"access-control-expose-headers", b"etag, retry-after")


class Cors:
    """Lets browsers show answers to pages of some origins, and answers what they ask beforehand.

    `credentials` True: the user is known by a cookie, which such a page may send along.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str], *, credentials: bool = False) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)
        self._more = ((b"access-control-allow-credentials", b"true"),) if credentials else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = _origin(scope)
        if origin is None or origin not in self._origins or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        granted = [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), *self._more]
        if scope["method"] == "OPTIONS" and any(name == _ASKED for name, _ in scope["headers"]):
            await reply(send, 204, [*granted, *_PREFLIGHT], b"")
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *granted, _EXPOSED]
            await send(message)

        await self._app(scope, receive, with_headers)


_ASKED: Final = b"access-control-request-method"


def _origin(scope: Any) -> bytes | None:
    """Return the origin of the page that asks; None where no other page does."""
    if scope["type"] != "http":
        return None
    return next((value for name, value in scope["headers"] if name == b"origin"), None)
