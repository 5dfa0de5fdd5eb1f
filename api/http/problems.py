"""Every error of the API as `application/problem+json` (RFC 9457): one list of codes, each with its status and words.

What a route raises on purpose is shown with its own words.  Anything else is a plain 500 whose text says nothing of
what happened inside; the log has the kind and the place, never a body, a token or a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, cast

import msgspec
from litestar.connection import Request
from litestar.exceptions import HTTPException
from litestar.response import Response
from msgspec import Meta, Struct

from interlock.api.http.headers import ALWAYS
from interlock.engine import errors

log = logging.getLogger("interlock.api")

MEDIA_TYPE: Final = "application/problem+json"


class Kind(Struct, frozen=True):
    """One kind of problem.  `retry_after` in seconds, None where coming again would not help."""

    status: int
    detail: str
    retry_after: int | None = None


KINDS: Final[Mapping[str, Kind]] = {
    "bad_request": Kind(400, "The request does not have the form that this route takes."),
    "bad_body": Kind(400, "The body is not the JSON that this route takes."),
    "bad_signature": Kind(400, "The Stripe-Signature header does not prove that Stripe sent this body now."),
    "bad_event": Kind(400, "The body is signed, but it is not a Stripe event."),
    "unauthorized": Kind(401, "A bearer token is needed."),
    "not_offered": Kind(403, "This is not offered here."),
    "cross_site": Kind(403, "Another site's page asked for this."),
    "not_found": Kind(404, "There is nothing here."),
    "method_not_allowed": Kind(405, "This route does not take that method; see Allow."),
    "too_slow": Kind(408, "The body did not arrive in time."),
    "no_subscription": Kind(409, "There is no subscription to do this with."),
    "already_subscribed": Kind(409, "A subscription lives; change it instead, or use the portal."),
    "no_customer": Kind(409, "There is no Stripe customer for this user yet; a checkout makes one."),
    "ending": Kind(409, "The subscription is about to end; resume it first."),
    "past_due": Kind(409, "An invoice is open; pay it first."),
    "change_pending": Kind(409, "Another change waits already; undo it first."),
    "foreign_schedule": Kind(409, "The subscription has a schedule that was not made here."),
    "several_items": Kind(409, "The subscription has several main plans."),
    "payment_method_required": Kind(409, "A payment method is needed first."),
    "payment_action_required": Kind(409, "The payment must be confirmed by the user."),
    "price_changed": Kind(409, "The amount is another than the one that was agreed to."),
    "over_limit": Kind(409, "More is used than the new plan allows."),
    "not_sold": Kind(409, "The plan is not sold any more."),
    "in_trial": Kind(409, "This can't be done during a trial."),
    "no_plan": Kind(409, "An add-on is sold beside a plan, and there is none."),
    "paused": Kind(409, "The subscription is paused; resume it first."),
    "nothing_to_resume": Kind(409, "Nothing is canceled or paused."),
    "nothing_to_undo": Kind(409, "No change waits."),
    "nothing_to_pay": Kind(409, "No invoice is open."),
    "in_use": Kind(409, "A living subscription needs it."),
    "busy": Kind(409, "Another change of this user is being made.", 1),
    "another_users": Kind(409, "The Stripe customer is another user's."),
    "too_large": Kind(413, "The body is longer than this route takes."),
    "unknown_plan": Kind(422, "The plan catalogue has no plan of that name."),
    "unknown_feature": Kind(422, "The plan catalogue has no feature of that name."),
    "unknown_promotion_code": Kind(422, "Stripe knows no active promotion code of that name."),
    "unknown_interval": Kind(422, "The plan is not sold at that interval."),
    "unknown_reason": Kind(422, "That is none of the reasons for a cancellation."),
    "unknown_flow": Kind(422, "The portal has no page of that name."),
    "same_plan": Kind(422, "The subscription is as it would be after the change."),
    "other_currency": Kind(422, "The customer pays in another currency."),
    "quantity": Kind(422, "The plan is not sold in that quantity."),
    "key_reused": Kind(422, "That Idempotency-Key came with another body before."),
    "bad_value": Kind(422, "A value is none that is taken."),
    "too_many_requests": Kind(429, "Too many requests; slow down.", 1),
    "request_refused": Kind(400, "The request was refused."),
    "internal": Kind(500, "Something went wrong here; it was logged."),
    "stripe_refused": Kind(502, "Stripe answered, and the answer was no."),
    "store_unavailable": Kind(503, "The database can't take it now; send it again.", 1),
    "stripe_busy": Kind(503, "Stripe takes no more requests now.", 1),
    "keys_unavailable": Kind(503, "The token issuer's keys can't be read now.", 30),
    "overloaded": Kind(503, "Too much at once; send it again.", 1),
    "not_ready": Kind(503, "The service can't work now.", 1),
    "not_started": Kind(503, "The service is not started.", 1),
    "stopping": Kind(503, "The service stops; send it again.", 1),
    "stripe_unavailable": Kind(504, "Stripe could not be reached in time."),
}
_CODE_OF_STATUS: Final = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "too_many_requests",
}


if TYPE_CHECKING:
    Code: TypeAlias = str
else:
    Code = Literal[tuple(KINDS)]  # the codes of the one list, for the OpenAPI document


class Problem(Struct, kw_only=True):
    """What an error looks like.  Some codes bring further members, such as the `url` of an open invoice."""

    type: Annotated[str, Meta(description="The code as a URN.", examples=["urn:interlock:unknown-plan"])]
    title: Annotated[str, Meta(description="The status in words.", examples=["Unprocessable Entity"])]
    status: Annotated[int, Meta(examples=[422])]
    detail: Annotated[str, Meta(description="What happened, for a person.", examples=["There is no such plan."])]
    code: Annotated[Code, Meta(description="Names the kind; stable.", examples=["unknown_plan"])]


class ApiError(HTTPException):
    """An error that the API itself finds: a code of KINDS, and words where the code's own do not say enough."""

    def __init__(self, code: str, detail: str = "", *, retry_after: int | None = None, **members: Any) -> None:
        kind = KINDS[code]
        super().__init__(detail=detail or kind.detail, status_code=kind.status)
        self.code = code
        self.retry_after = kind.retry_after if retry_after is None else retry_after
        self.members = members


class Said(Struct, frozen=True):
    """A problem ready to be sent: status, the headers of its own, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes


Where: TypeAlias = Callable[[], str]
"""Says on which route an error arose, for the log."""


def say(code: str, detail: str = "", retry_after: int | None = None, *, instead: int = 0, **members: Any) -> Said:
    """Make a problem of a code; `instead` is a status in place of the code's own."""
    kind = KINDS[code]
    status = HTTPStatus(instead or kind.status)
    seconds = kind.retry_after if retry_after is None else retry_after
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    problem = {
        "type": f"urn:interlock:{code.replace('_', '-')}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail or kind.detail,
        "code": code,
    }
    return Said(status, headers, msgspec.json.encode(problem | members))


def explain(error: Exception, where: Where) -> Said:
    """Make the problem of whatever was raised; what nobody foresaw is logged, and told as a plain 500."""
    if isinstance(error, errors.InterlockError) and error.code in KINDS:
        members = dict(error.members)
        return say(error.code, error.detail, members.pop("retry_after", None), **members)
    if isinstance(error, ApiError):
        return say(error.code, error.detail, error.retry_after, **error.members)
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _refused_by_litestar(error)
    if isinstance(error, HTTPException) and error.detail == "client disconnected prematurely":
        return say("bad_request", "The request ended too early.")
    # The message of an unknown error may quote anything, so only its place is logged.
    log.error("%s: %s", where(), errors.place_of(error))
    return say("internal")


def _refused_by_litestar(error: HTTPException) -> Said:
    """What Litestar itself raises.  Its words may quote the input, so ours are shown."""
    code = _CODE_OF_STATUS.get(error.status_code)
    if code is None:
        return say("request_refused", HTTPStatus(error.status_code).phrase, instead=error.status_code)
    said = say(code, KINDS[code].detail + _named_fields(error))
    return msgspec.structs.replace(said, headers={**said.headers, **(error.headers or {})})


def _named_fields(error: HTTPException) -> str:
    """Name the parameters that Litestar refused, without what was in them."""
    if not isinstance(error.extra, list):
        return ""
    faults = cast("list[dict[str, Any]]", error.extra)
    names = [str(fault["key"])[:64] for fault in faults if "key" in fault]
    return f" At fault: {', '.join(names)}." if names else ""


def bare(code: str, detail: str = "") -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of what the server itself answers; the connection ends with it."""
    said = say(code, detail)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in said.headers.items()]
    return said.status, [*headers, (b"connection", b"close")], said.body


def respond(said: Said) -> Response[bytes]:
    """Make Litestar's response of a problem, with the headers that every answer has."""
    always = {name.decode(): value.decode() for name, value in ALWAYS.items()}
    shown = {name: value for name, value in said.headers.items() if name != "Content-Type"}
    return Response(said.body, status_code=said.status, media_type=MEDIA_TYPE, headers=always | shown)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler."""
    # The route's pattern: unlike the path, nothing that a client wrote.
    route = cast("dict[str, Any]", request.scope).get("path_template", "no route")
    return respond(explain(error, lambda: f"{request.method} {route}"))


HANDLERS: Final[dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]] = {
    errors.InterlockError: handle,
    HTTPException: handle,
    Exception: handle,
}
"""For the routes of ours alone: a host that embeds them keeps its own for its own."""
