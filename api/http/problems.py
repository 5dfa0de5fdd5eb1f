"""Every error of the API as `application/problem+json` (RFC 9457), and which status each engine error has.

What a handler of ours raises on purpose is shown with its own words.  Anything else is a plain 500 whose text
says nothing of what happened inside; the log has the kind and the place, never a body, a token or a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, cast

import msgspec
from litestar.connection import Request
from litestar.exceptions import HTTPException
from litestar.response import Response
from msgspec import Meta, Struct

from interlock.api.auth.jwks import KeysUnavailable
from interlock.engine import errors

log = logging.getLogger("interlock.api")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SOON: Final = "1"


class Problem(Struct, kw_only=True):
    """What an error looks like."""

    type: Annotated[str, Meta(description="Names the kind; stable.", examples=["urn:interlock:unknown-plan"])]
    title: Annotated[str, Meta(description="The status in words.", examples=["Unprocessable Entity"])]
    status: Annotated[int, Meta(examples=[422])]
    detail: Annotated[str, Meta(description="What happened, for a person.", examples=["There is no such plan."])]


class ApiError(HTTPException):
    """An error that a route itself finds: status, kind and words."""

    def __init__(self, status: int, kind: str, detail: str, *, retry_after: int | None = None) -> None:
        headers = None if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(detail=detail, status_code=status, headers=headers)
        self.kind = kind


class _Answer(Struct, frozen=True):
    status: HTTPStatus
    kind: str
    retry_after: str | None = None


_ENGINE: Final[Mapping[type[Exception], _Answer]] = {
    errors.BadSignature: _Answer(HTTPStatus.BAD_REQUEST, "bad-signature"),
    errors.BadEvent: _Answer(HTTPStatus.BAD_REQUEST, "bad-event"),
    errors.StoreUnavailable: _Answer(HTTPStatus.SERVICE_UNAVAILABLE, "store-unavailable", RETRY_SOON),
    errors.UnknownPlan: _Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown-plan"),
    errors.UnknownPromotionCode: _Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown-promotion-code"),
    errors.AlreadySubscribed: _Answer(HTTPStatus.CONFLICT, "already-subscribed"),
    errors.NoCustomer: _Answer(HTTPStatus.CONFLICT, "no-customer"),
    errors.StripeRefused: _Answer(HTTPStatus.BAD_GATEWAY, "stripe-refused"),
    errors.StripeUnavailable: _Answer(HTTPStatus.GATEWAY_TIMEOUT, "stripe-unavailable"),
    KeysUnavailable: _Answer(HTTPStatus.SERVICE_UNAVAILABLE, "token-keys-unavailable", "30"),
}
_KINDS: Final = {
    400: "bad-request",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    429: "too-many-requests",
}
_DETAILS: Final = {
    400: "The request does not have the form that this route takes.",
    404: "There is nothing here.",
    405: "This route does not take that method; see Allow.",
    413: "The body is longer than this route takes.",
}


def respond(
    status: HTTPStatus, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response[bytes]:
    """Make the problem's response; `more` are further members of it."""
    body = _encode(status, kind, detail, more)
    shown = dict(headers or {})
    shown.setdefault("Cache-Control", "no-store")
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=shown)


def bare(
    status: HTTPStatus, kind: str, detail: str, *, retry_after: int | None = None
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Make what the server itself answers, beneath the application: its own headers, and the body.

    The connection ends with it.
    """
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"), (b"connection", b"close")]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    return headers, _encode(status, kind, detail, {})


def _encode(status: HTTPStatus, kind: str, detail: str, more: Mapping[str, Any]) -> bytes:
    problem = {"type": f"urn:interlock:{kind}", "title": status.phrase, "status": int(status), "detail": detail}
    return msgspec.json.encode(problem | dict(more))


def _engine_error(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    answer = next(_ENGINE[kind] for kind in type(error).__mro__ if kind in _ENGINE)
    headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
    # Without words of its own, an error is told by what its class says of itself.
    detail = str(error) or (type(error).__doc__ or "").strip()
    return respond(answer.status, answer.kind, detail, headers)


def _api_error(_: Request[Any, Any, Any], error: ApiError) -> Response[bytes]:
    return respond(HTTPStatus(error.status_code), error.kind, error.detail, error.headers)


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself raises.  Its words may quote the input, so ours are shown where we have them."""
    code = error.status_code
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if error.detail == "client disconnected prematurely":
            return respond(HTTPStatus.BAD_REQUEST, "bad-request", "The request ended too early.")
        return _unknown_error(request, error)
    status = HTTPStatus(code)
    detail = error.detail if code in (401, 429) else _DETAILS.get(code, status.phrase)
    return respond(status, _KINDS.get(code, "request-refused"), detail + _named_fields(error), error.headers)


def _named_fields(error: HTTPException) -> str:
    """Name the parameters that Litestar refused, without what was in them."""
    if not isinstance(error.extra, list):
        return ""
    faults = cast("list[dict[str, Any]]", error.extra)
    names = [str(fault["key"])[:64] for fault in faults if "key" in fault]
    return f" At fault: {', '.join(names)}." if names else ""


def _unknown_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """No input should lead here.  The message of an unknown error may quote anything, so only its place is logged."""
    log.error("%s %s: %s", request.method, _route(request), errors.place_of(error))
    return respond(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong here; it was logged.")


def _route(request: Request[Any, Any, Any]) -> str:
    """Return the route's pattern: unlike the path, nothing that a client wrote."""
    return cast("dict[str, Any]", request.scope).get("path_template", "no route")


HANDLERS: Final[dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]] = {
    **dict.fromkeys(_ENGINE, _engine_error),
    ApiError: _api_error,
    HTTPException: _http_error,
    Exception: _unknown_error,
}
