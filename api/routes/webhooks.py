"""Where Stripe's events arrive.  The hot path: raw bytes in, one call to the engine, one small answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency

from api.limits import Admission
from api.problems import ApiError
from api.routes.docs import STRIPE, EventOperation, answers, refuses
from api.routes.shapes import WebhookAnswer
from engine.interlock import Interlock

MAX_EVENT: Final = 1024 * 1024
READ_WITHIN: Final = 15.0
"""Seconds that a sender may take for its body."""
MAX_WAITING: Final = 1024
MAX_BYTES_WAITING: Final = 128 * MAX_EVENT

_encode: Final = msgspec.json.Encoder().encode


@post(
    "/webhooks/stripe",
    status_code=200,
    request_max_body_size=MAX_EVENT,
    operation_class=EventOperation,
    operation_id="receiveStripeEvent",
    tags=["webhooks"],
    security=STRIPE,
    summary="Take one event of Stripe's",
    responses=answers(200, WebhookAnswer, "The event is durable.", example={"id": "evt_1", "outcome": "applied"})
    | refuses(400, 408, 413, 503),
)
async def receive_event(
    request: Request[Any, Any, Any], interlock: NamedDependency[Interlock], admission: NamedDependency[Admission]
) -> Response[bytes]:
    """Answer 200 once the event is durable, with what came of it.  The body's exact bytes are what is signed."""
    announced = request.content_length
    size = MAX_EVENT if announced is None else max(0, min(announced, MAX_EVENT))
    with admission.admit(size):
        try:
            async with asyncio.timeout(READ_WITHIN):
                body = await request.body()
        except TimeoutError:
            raise ApiError(408, "too-slow", "The body did not arrive in time.") from None
        receipt = await interlock.receive(body, _signature(request))
    return Response(_encode(receipt), media_type="application/json")


def _signature(request: Request[Any, Any, Any]) -> bytes | None:
    """Return the one Stripe-Signature header as bytes; two of them prove nothing."""
    values = [value for name, value in request.scope["headers"] if name == b"stripe-signature"]
    return values[0] if len(values) == 1 else None
