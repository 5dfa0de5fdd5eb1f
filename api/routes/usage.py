"""What your own backend counts: consume, hold, report.  These routes ask for the service token."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.types import HTTPScope, Receive, Send
from msgspec import Meta, Struct

from interlock.api.auth.tokens import User
from interlock.api.http.front import JSON, reply
from interlock.api.http.problems import ApiError
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import answers, refuses
from interlock.api.schema.shapes import StrictBody, strictly
from interlock.engine import Consumed, HoldAnswer, Interlock, UsageEvent, UsageReport, usable_user

MOST: Final = 10**12
"""The largest amount of one use."""
MOST_EVENTS: Final = 1000
MAX_BODY: Final = 16 * 1024
MAX_USAGE_BODY: Final = 1024 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store"}
_RAW: Final = [JSON, (b"cache-control", b"no-store")]
_SERVICE: Final = ("bad_request", "unauthorized", "not_found", "store_unavailable")
"""What every route of your own backend may answer."""
_BODY: Final = ("bad_body", "too_large", "unknown_feature")
_COUNTED: Final = {
    "allowed": True,
    "reason": "plan",
    "used": 7401,
    "remaining": 2599,
    "resets_at": "2026-12-24T00:00:00Z",
    "duplicate": False,
}

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
HoldId: TypeAlias = Annotated[str, PathParameter(description="The `id` of a hold.")]
UseId: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Your own id of this use: within 35 days it counts once.",
    ),
]


class ConsumeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """So much of a feature, to be counted whole or not at all."""

    feature: Name
    amount: Annotated[int, Meta(ge=1, le=MOST)] = 1
    id: UseId | None = None


class HoldBody(Struct, frozen=True, forbid_unknown_fields=True):
    """So much of a feature, to be set aside for some seconds."""

    feature: Name
    amount: Annotated[int, Meta(ge=1, le=MOST)]
    seconds: Annotated[int, Meta(ge=1, le=86_400, description="Left alone, it gives back what it holds then.")]


class SettleBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What it really came to."""

    amount: Annotated[int, Meta(ge=0, le=MOST)]


class UsageItem(Struct, frozen=True, forbid_unknown_fields=True):
    """One use; a negative amount corrects."""

    user: Name
    feature: Name
    amount: Annotated[int, Meta(ge=-MOST, le=MOST)]
    id: UseId
    at: Annotated[datetime, Meta(tz=True, description="At most 35 days ago; now, where it is left out.")] | None = None


class UsageBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Uses of many users, counted in their order."""

    events: Annotated[list[UsageItem], Meta(max_length=MOST_EVENTS)]


_encode: Final = msgspec.json.Encoder().encode
_consume_body: Final = msgspec.json.Decoder(ConsumeBody)


async def send_consumed(runtime: Runtime, scope: HTTPScope, receive: Receive, send: Send) -> None:
    """Count, and answer with what came of it, before Litestar looks for a handler."""
    runtime.require_service(scope)
    user_id = usable_user(scope["path"].rsplit("/", 2)[1])
    if user_id is None:
        raise ApiError("not_found")
    wanted = strictly(_consume_body.decode, await _small_body(receive))
    consumed = await runtime.interlock.consume(user_id, wanted.feature, wanted.amount, use_id=wanted.id)
    await reply(send, 200, _RAW, _encode(consumed))


async def _small_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ApiError("bad_request", "The request ended too early.")
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise ApiError("too_large")
    return body


@post(
    "/users/{user_id:str}/consume",
    status_code=200,
    dto=StrictBody[ConsumeBody],
    return_dto=None,
    operation_id="consume",
    tags=["usage"],
    summary="Count, if it is allowed",
    responses=answers(200, Consumed, "Counted, or denied: `allowed` says which.", example=_COUNTED)
    | refuses(*_SERVICE, *_BODY),
)
async def consume(
    interlock: NamedDependency[Interlock], user: NamedDependency[User], data: JSONBody[ConsumeBody]
) -> Response[Consumed]:
    """Check and count in one transaction, whole or not at all.  It is 503, never a guess, where it can't be counted."""
    consumed = await interlock.consume(user.id, data.feature, data.amount, use_id=data.id)
    return Response(consumed, headers=_NO_STORE)


@post(
    "/users/{user_id:str}/hold",
    status_code=200,
    dto=StrictBody[HoldBody],
    return_dto=None,
    operation_id="hold",
    tags=["usage"],
    summary="Set aside what may be used",
    responses=answers(
        200,
        HoldAnswer,
        "Set aside, or denied: `allowed` says which.",
        example={"id": "hold_1", "expires_at": "2026-11-27T12:05:00Z"} | _COUNTED,
    )
    | refuses(*_SERVICE, *_BODY),
)
async def hold(
    interlock: NamedDependency[Interlock], user: NamedDependency[User], data: JSONBody[HoldBody]
) -> Response[HoldAnswer]:
    """Set an amount aside while it is not known what it comes to.  Settle it with `POST /holds/{id}`."""
    held = await interlock.hold(user.id, data.feature, data.amount, seconds=data.seconds)
    return Response(held, headers=_NO_STORE)


@post(
    "/holds/{hold_id:str}",
    status_code=200,
    dto=StrictBody[SettleBody],
    return_dto=None,
    operation_id="settleHold",
    tags=["usage"],
    summary="Count what a hold came to",
    responses=answers(
        200,
        HoldAnswer,
        "Counted.  More than was held is denied where it does not fit; the hold then stands.",
        example={"id": "hold_1", "expires_at": None} | _COUNTED,
    )
    | refuses(*_SERVICE, "bad_body", "too_large"),
)
async def settle_hold(
    interlock: NamedDependency[Interlock], hold_id: HoldId, data: JSONBody[SettleBody]
) -> Response[HoldAnswer]:
    """Count what it really was; what was held beyond that is free again.  A second time: the first answer again."""
    return Response(await interlock.settle(hold_id, data.amount), headers=_NO_STORE)


@post(
    "/usage",
    status_code=200,
    dto=StrictBody[UsageBody],
    return_dto=None,
    request_max_body_size=MAX_USAGE_BODY,
    operation_id="reportUsage",
    tags=["usage"],
    summary="Report use, late use and corrections",
    responses=answers(
        200,
        UsageReport,
        "What was counted, and what was not.",
        example={"counted": 998, "duplicates": 1, "refused": [{"id": "job_7", "why": "too_old"}]},
    )
    | refuses(*_SERVICE, "bad_body", "too_large"),
)
async def report_usage(interlock: NamedDependency[Interlock], data: JSONBody[UsageBody]) -> Response[UsageReport]:
    """Count up to 1,000 uses, each once by its id.  After a 503 send all again: what counted is a duplicate then."""
    events = [
        UsageEvent(
            user=one.user,
            feature=one.feature,
            amount=one.amount,
            id=one.id,
            at=None if one.at is None else int(one.at.timestamp()),
        )
        for one in data.events
    ]
    return Response(await interlock.report_usage(events), headers=_NO_STORE)
