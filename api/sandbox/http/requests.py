"""What the routes of the pages and of the panel share: the running world, JSON bodies, refusals."""

from __future__ import annotations

import json
from typing import Any, cast

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from interlock.api.sandbox.core.errors import Obj, StripeError
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.face import unforeseen


def running_world(state: State) -> RunningWorld:
    """The stand-in that is served."""
    return cast("RunningWorld", state.sandbox)


def refused(_request: Request[Any, Any, Any], error: StripeError) -> Response[Obj]:
    """A refusal as Stripe words it."""
    return Response(error.body, status_code=error.status)


def failed(request: Request[Any, Any, Any], error: Exception) -> Response[Obj]:
    """An unexpected error, or a route that is not there."""
    if isinstance(error, HTTPException):  # a path or method that is not there
        return refused(request, StripeError(error.status_code, error.detail))
    return refused(request, unforeseen(request.method, request.url.path, error))


async def json_body(request: Request[Any, Any, Any]) -> Obj:
    """A JSON object; nothing else may change state, so that no form of another site can."""
    if request.content_type[0] != "application/json":
        raise StripeError(415, "Send JSON: Content-Type: application/json.")
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise StripeError(400, "This is not JSON.") from None
    if not isinstance(body, dict):
        raise StripeError(400, "Send a JSON object.")
    return cast("Obj", body)
