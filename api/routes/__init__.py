"""Every route there is, by whom it is for.  Guards stand here and nowhere else, so a new route can't forget its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, cast

from litestar import Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import HTTPScope, Receive, Send

from interlock.api.auth.tokens import User
from interlock.api.http.front import Way
from interlock.api.http.headers import secure
from interlock.api.http.problems import HANDLERS
from interlock.api.routes import billing, diagrams, health, subscription, webhooks
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import ANYONE, OPERATOR, USER
from interlock.engine import Interlock

Handlers: TypeAlias = tuple[HTTPRouteHandler, ...]
Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
Guard: TypeAlias = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
UserAnswer: TypeAlias = Callable[[Runtime, User, HTTPScope, Receive, Send], Awaitable[None]]

ANYONES: Final[Handlers] = (
    webhooks.receive_event,
    billing.list_plans,
    diagrams.show_machine,
    diagrams.draw_svg,
    diagrams.draw_mermaid,
    diagrams.draw_dot,
    health.live,
    health.ready,
)
USERS: Final[Handlers] = (
    subscription.read_subscription,
    subscription.stream_subscription,
    subscription.read_history,
    subscription.draw_subscription,
    billing.create_checkout,
    billing.create_portal,
)
OPERATORS: Final[Handlers] = (health.metrics,)

_USER: Final = "interlock.user"


def interlock_router(runtime: Runtime, path: str = "/") -> Router:
    """Return the routes under a path, with all that is ours on them alone: guards, errors, dependencies, headers."""

    def give_runtime() -> Runtime:
        return runtime

    def give_interlock() -> Interlock:
        return runtime.interlock

    return Router(
        path,
        route_handlers=[
            Router("/", route_handlers=ANYONES, security=ANYONE),
            Router("/", route_handlers=USERS, security=USER, guards=[_user_guard(runtime)], dependencies=_USER_GIVEN),
            Router("/", route_handlers=OPERATORS, security=OPERATOR, guards=[_operator_guard(runtime)]),
        ],
        dependencies={
            "runtime": Provide(give_runtime, sync_to_thread=False),
            "interlock": Provide(give_interlock, sync_to_thread=False),
        },
        exception_handlers=dict(HANDLERS),
        after_request=secure,
        request_max_body_size=billing.MAX_BODY,
    )


def busiest(runtime: Runtime) -> dict[tuple[str, str], Way]:
    """Return the routes that a front may answer before Litestar looks for a handler."""
    return {
        ("POST", "/webhooks/stripe"): partial(webhooks.take_event, runtime),
        ("GET", "/subscription"): _as_user(runtime, subscription.send_state),
        ("GET", "/subscription/stream"): _as_user(runtime, subscription.send_stream),
    }


def _as_user(runtime: Runtime, answer: UserAnswer) -> Way:
    async def way(scope: HTTPScope, receive: Receive, send: Send) -> None:
        await answer(runtime, await runtime.user(scope), scope, receive, send)

    return way


def _user_guard(runtime: Runtime) -> Guard:
    async def require_user(connection: Connection, _: BaseRouteHandler) -> None:
        scope = cast("HTTPScope", connection.scope)
        if scope["method"] != "OPTIONS":  # answered by Litestar itself with the methods that there are
            cast("dict[str, Any]", scope)[_USER] = await runtime.user(scope)

    return require_user


def _operator_guard(runtime: Runtime) -> Guard:
    async def require_operator(connection: Connection, _: BaseRouteHandler) -> None:
        scope = cast("HTTPScope", connection.scope)
        if scope["method"] != "OPTIONS":
            runtime.require_operator(scope)

    return require_operator


def _proven_user(request: Request[Any, Any, Any]) -> User:
    return cast("dict[str, Any]", request.scope)[_USER]


_USER_GIVEN: Final = {"user": Provide(_proven_user, sync_to_thread=False)}
