"""The demo page of `interlock sandbox`: a closed list of files, its settings, and tokens for its users.

Only the sandbox mounts this router.  `serve` must not: `/demo/token` gives anyone a token for any user.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NotRequired, TypedDict

from litestar import MediaType, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

_HERE: Final = Path(__file__).parent
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS: Final = (
    "demo.css", "parts.css", "icon.svg", "main.js", "api.js", "stream.js", "dom.js", "words.js", "plans.js", "state.js",
    "diagram.js", "ledger.js", "controls.js",
)  # fmt: skip

UserName = Annotated[str, QueryParameter(pattern=r"^[A-Za-z0-9_.@-]{1,64}$", description="Who to be.")]


class DemoSettings(TypedDict):
    """What the page needs to know; `make_token` where the application has no token route of its own."""

    stripe_url: str
    user: str
    make_token: NotRequired[Callable[[str], str]]


def _file(name: str, headers: dict[str, str]) -> Response[bytes]:
    path = _HERE / name
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=headers)


def demo_router(settings: DemoSettings) -> Router:
    """Serve the page at `/`, its files at `/assets/…`, and what it needs to know at `/demo/…`."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {settings['stripe_url']}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    safe = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}

    @get("/", include_in_schema=False, sync_to_thread=True)
    def page() -> Response[bytes]:
        return _file("demo.html", {**safe, "Content-Security-Policy": policy})

    @get("/assets/{name:str}", include_in_schema=False, sync_to_thread=True)
    def asset(name: FromPath[str]) -> Response[bytes]:
        if name not in _ASSETS:
            raise NotFoundException(f"no asset {name!r}")
        return _file(name, safe)

    @get("/demo/config", include_in_schema=False, media_type=MediaType.JSON, sync_to_thread=False)
    def config() -> dict[str, str]:
        return {"stripe_url": settings["stripe_url"], "user": settings["user"]}

    handlers: list[HTTPRouteHandler] = [page, asset, config]
    make_token = settings.get("make_token")
    if make_token is not None:

        @get("/demo/token", include_in_schema=False, media_type=MediaType.JSON, sync_to_thread=False)
        def token(user: UserName) -> dict[str, str]:
            return {"token": make_token(user), "user": user}

        handlers.append(token)
    return Router(path="/", route_handlers=handlers)
