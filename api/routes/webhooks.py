"""Where Stripe's events arrive.  The hot path: raw bytes in, one call to the engine, one small answer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.types import HTTPScope, Receive, Send

from interlock.api.http.front import JSON, Answered, reply
from interlock.api.http.limits import Admission
from interlock.api.http.problems import ApiError
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import STRIPE, EventOperation, answers, refuses
from interlock.api.schema.shapes import WebhookAnswer
from interlock.engine import InterlockError

MAX_EVENT: Final = 1024 * 1024
READ_WITHIN: Final = 15.0
"""Seconds that a sender may take for its body."""
MAX_WAITING: Final = 1024
MAX_BYTES_WAITING: Final = 128 * MAX_EVENT

_encode: Final = msgspec.json.Encoder().encode


async def take_event(runtime: Runtime, scope: HTTPScope, receive: Receive, send: Send) -> None:
    """Take one event: its size is bounded before it is read, and so is what waits in this process."""
    signature, announced = _signature_and_length(scope)
    if announced is not None and announced > MAX_EVENT:
        raise ApiError("too_large")
    interlock, admission = runtime.interlock, runtime.admission
    body = await _body(receive, admission)
    size = len(body)
    await runtime.look_at_the_clock()
    admission.take(size)
    try:
        receipt = await interlock.receive(body, signature)
    except InterlockError as error:
        raise error.with_traceback(None) from None  # its frames hold the body
    finally:
        del body  # the answer may have to wait for a reader who takes his time, and must not keep it
        admission.give_back(size)
    await reply(send, 200, [JSON], _encode(receipt))


def _signature_and_length(scope: HTTPScope) -> tuple[bytes | None, int | None]:
    """Return the one Stripe-Signature header as bytes (two of them prove nothing), and the size that is announced."""
    signatures: list[bytes] = []
    announced: int | None = None
    for name, value in scope["headers"]:
        if name == b"stripe-signature":
            signatures.append(value)
        elif name == b"content-length":
            if not value.isdigit():
                raise ApiError("bad_request")
            announced = int(value[:20])
    return signatures[0] if len(signatures) == 1 else None, announced


async def _body(receive: Receive, admission: Admission) -> bytes:
    """Read the body's exact bytes: they are what is signed."""
    # Nearly always all of it is here by now; how long the first of it may take is bounded by the server.
    piece, more = await _piece(receive)
    if more:
        pieces = bytearray(piece)
        del piece
        return await _rest(pieces, receive, admission)
    if len(piece) > MAX_EVENT:
        raise ApiError("too_large")
    return piece


async def _rest(pieces: bytearray, receive: Receive, admission: Admission) -> bytes:
    """Read on, in time, and for as long as there is room."""
    piece, more = b"", True
    try:
        async with asyncio.timeout(READ_WITHIN) as until:
            with admission.sender(lambda: _end(until)) as sender:
                admission.grow(sender, len(pieces))
                while more and len(pieces) <= MAX_EVENT:
                    piece, more = await _piece(receive)
                    admission.grow(sender, len(piece))
                    pieces += piece
        if len(pieces) > MAX_EVENT:
            raise ApiError("too_large")
        return bytes(pieces)
    except TimeoutError:
        raise ApiError("too_slow") from None
    finally:
        del piece  # the frames of an error live until it is answered
        pieces.clear()


def _end(until: asyncio.Timeout) -> None:
    if not until.expired():
        until.reschedule(0)


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """Return what has come of the body, and whether there is more.  ASGI lets a message leave out either."""
    message = await receive()
    if message["type"] != "http.request":
        raise ApiError("bad_request", "The request ended too early.")
    return message.get("body", b""), message.get("more_body", False)


@post(
    "/webhooks/stripe",
    status_code=200,
    operation_class=EventOperation,
    operation_id="receiveStripeEvent",
    tags=["webhooks"],
    security=STRIPE,
    summary="Take one event of Stripe's",
    responses=answers(200, WebhookAnswer, "The event is durable.", example={"id": "evt_1", "outcome": "applied"})
    | refuses("bad_signature", "bad_event", "bad_request", "too_slow", "too_large", "store_unavailable", "overloaded"),
)
async def receive_event(runtime: NamedDependency[Runtime]) -> Answered:
    """Answer 200 once the event is durable, with what came of it.  The body's exact bytes are what is signed."""
    return Answered(partial(take_event, runtime))
