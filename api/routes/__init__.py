"""All routes, grouped by who may ask.  Guards stand here and nowhere else, so a new route can't forget its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, cast

from litestar import Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import PathParameter
from litestar.types import HTTPScope, Receive, Send

from interlock.api.auth.tokens import User
from interlock.api.http.front import Way
from interlock.api.http.headers import secure
from interlock.api.http.problems import HANDLERS, ApiError
from interlock.api.routes import (
    billing,
    cards,
    client,
    diagrams,
    features,
    health,
    invoices,
    manage,
    subscription,
    usage,
    users,
    webhooks,
)
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import ANYONE, OPERATOR, SERVICE, USER
from interlock.engine import Interlock, usable_user

Handlers: TypeAlias = tuple[HTTPRouteHandler, ...]
Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
Guard: TypeAlias = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
UserAnswer: TypeAlias = Callable[[Runtime, User, HTTPScope, Receive, Send], Awaitable[None]]

ANYONES: Final[Handlers] = (
    webhooks.receive_event,
    billing.list_plans,
    invoices.open_invoice,
    invoices.download_invoice,
    client.read_client,
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
    features.list_features,
    features.read_feature,
    billing.create_checkout,
    billing.create_portal,
    manage.preview_change,
    manage.change,
    manage.undo_change,
    manage.preview_cancel,
    manage.cancel,
    manage.resume,
    manage.pause,
    invoices.list_invoices,
    invoices.read_upcoming,
    invoices.pay_invoice,
    cards.list_payment_methods,
    cards.add_payment_method,
    cards.make_default,
    cards.remove_payment_method,
)
SERVICES: Final[Handlers] = (users.read_users, usage.settle_hold, usage.report_usage)
"""For the host's own backend.  Every route of USERS is its too, under /users/{user_id}: see `twins`."""
OF_ONE_USER: Final[Handlers] = (users.read_user, users.read_user_history, usage.consume, usage.hold)
"""For the host's own backend, about the user whom the path names."""
OPERATORS: Final[Handlers] = (health.metrics,)

_USER: Final = "interlock.user"
TWIN: Final = "/users/{user_id:str}"
UserId = Annotated[str, PathParameter(description="A user's id, as in their tokens.")]


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
            Router("/", route_handlers=SERVICES, security=SERVICE, guards=[_service_guard(runtime)]),
            Router(
                "/",
                route_handlers=[*OF_ONE_USER, Router(TWIN, route_handlers=twins())],
                security=SERVICE,
                guards=[_service_guard(runtime)],
                dependencies=_USER_NAMED,
            ),
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


def twins() -> list[HTTPRouteHandler]:
    """Return every route of a user's once more, for your own backend: the path names the user, not a token."""
    made: list[HTTPRouteHandler] = []
    for handler in USERS:
        twin = copy(handler)
        twin.operation_id = f"{handler.operation_id}OfUser"
        made.append(twin)
    return made


def busiest(runtime: Runtime) -> dict[tuple[str, str], Way]:
    """Return the routes that a front may answer before Litestar looks for a handler."""
    return {
        ("POST", "/webhooks/stripe"): partial(webhooks.take_event, runtime),
        ("GET", "/subscription"): _as_user(runtime, subscription.send_state),
        ("GET", "/features"): _as_user(runtime, features.send_features),
        ("GET", "/features/{}"): _as_user(runtime, features.send_own_feature),
        ("POST", "/users/{}/consume"): partial(usage.send_consumed, runtime),
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


def _service_guard(runtime: Runtime) -> Guard:
    async def require_service(connection: Connection, _: BaseRouteHandler) -> None:
        scope = cast("HTTPScope", connection.scope)
        if scope["method"] != "OPTIONS":
            runtime.require_service(scope)

    return require_service


def _operator_guard(runtime: Runtime) -> Guard:
    async def require_operator(connection: Connection, _: BaseRouteHandler) -> None:
        scope = cast("HTTPScope", connection.scope)
        if scope["method"] != "OPTIONS":
            runtime.require_operator(scope)

    return require_operator


def _proven_user(request: Request[Any, Any, Any]) -> User:
    return cast("dict[str, Any]", request.scope)[_USER]


def _named_user(user_id: UserId) -> User:
    if usable_user(user_id) is None:
        raise ApiError("not_found")
    return User(user_id)


_USER_NAMED: Final = {"user": Provide(_named_user, sync_to_thread=False)}
_USER_GIVEN: Final = {"user": Provide(_proven_user, sync_to_thread=False)}
