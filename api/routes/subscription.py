"""What one user holds: now, live, and on the way here.  The user is the token's, whatever else a request says."""

from __future__ import annotations

import re
from typing import Annotated, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import Receive, Scope, Send

from interlock.api.auth.tokens import User, UserRequest, require_user
from interlock.api.http.front import JSON, Headers, at_once, reply
from interlock.api.http.headers import PICTURE_POLICY
from interlock.api.routes.stream import EventStream
from interlock.api.schema.docs import ENTRY, USER, USER_STATE, answers, refuses
from interlock.api.schema.shapes import UserStateAnswer
from interlock.engine import diagram
from interlock.engine.interlock import HistoryPage, Interlock

MAX_SEQ: Final = 2**53 - 1  # what JSON can say exactly
_ETAGS: Final = re.compile(rb'(?:W/)?("[^"]*")')
_PRIVATE: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
_PRIVATE_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in _PRIVATE.items()]

IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", description='An `ETag` seen before: `"7"`.')]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="At most so many entries.")]
After = Annotated[
    # gt -1, where ge 0 would be left out of the document
    int, QueryParameter(gt=-1, le=MAX_SEQ, description="Go on after this `seq`: the last page's `next`.")
]


async def _read(scope: Scope, _: Receive, send: Send) -> None:
    """Answer with the state as it is stored, or with 304 to somebody who has this version."""
    user: User = scope["user"]
    shown = await scope["litestar_app"].state.interlock.state(user.id)
    etag = b'"%d"' % shown.version
    headers: Headers = [*_PRIVATE_RAW, (b"etag", etag)]
    seen = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if seen and _matches(b",".join(seen), etag):
        await reply(send, 304, headers, b"")
    else:
        await reply(send, 200, [JSON, *headers], shown.body)


def _matches(if_none_match: bytes, etag: bytes) -> bool:
    """Compare weakly, as RFC 9110 asks of If-None-Match."""
    return if_none_match == etag or if_none_match.strip() == b"*" or etag in _ETAGS.findall(if_none_match)


@get(
    "/subscription",
    guards=[require_user],
    **at_once(_read),
    operation_id="readSubscription",
    tags=["subscription"],
    security=USER,
    summary="The state of the user",
    responses=answers(200, UserStateAnswer, "The state now; `ETag` is its version.", example=USER_STATE)
    | answers(304, None, "It is what you have: the `If-None-Match` names its version.")
    | refuses(400, 401, 503),
)
async def read_subscription(if_none_match: IfNoneMatch = None) -> None:
    """Read the user's subscription: state, access and until when, plan, and what they can do next."""


async def _stream(scope: Scope, receive: Receive, send: Send) -> None:
    state = scope["litestar_app"].state
    await EventStream(scope["user"], state.interlock, state.streams, state.config.clock)(scope, receive, send)


@get(
    "/subscription/stream",
    guards=[require_user],
    **at_once(_stream),
    media_type="text/event-stream",
    operation_id="streamSubscription",
    tags=["subscription"],
    security=USER,
    summary="The state of the user, live",
    responses=answers(
        200,
        str,
        "Server-sent events `subscription` with the state as data: one at once, then one at each change.",
        media_type="text/event-stream",
    )
    | refuses(401, 429, 503),
)
async def stream_subscription() -> None:
    """Hear of each change as it happens.  Ends when the token does; a comment comes every 15 seconds."""


@get(
    "/subscription/history",
    guards=[require_user],
    operation_id="readHistory",
    tags=["subscription"],
    security=USER,
    summary="Every decision, newest first",
    responses=answers(200, HistoryPage, "One page.", example={"items": [ENTRY], "next": 41}) | refuses(400, 401, 503),
)
async def read_history(
    request: UserRequest, interlock: NamedDependency[Interlock], limit: Limit = 20, after: After = MAX_SEQ
) -> Response[HistoryPage]:
    """Read what each event did to the user's subscriptions, and which guard said no."""
    page = await interlock.history(request.user.id, limit=limit, after=after)
    return Response(page, headers=_PRIVATE)


@get(
    "/subscription/diagram",
    guards=[require_user],
    media_type="image/svg+xml",
    operation_id="drawSubscription",
    tags=["subscription"],
    security=USER,
    summary="The machine, with the user in it",
    responses=answers(200, str, "A picture.", media_type="image/svg+xml") | refuses(401, 503),
)
async def draw_subscription(request: UserRequest, interlock: NamedDependency[Interlock]) -> Response[str]:
    """Draw the machine with the user's current state and the way taken marked."""
    current, taken = await interlock.way(request.user.id)
    picture = diagram.svg(current=current, taken=taken)
    return Response(picture, media_type="image/svg+xml", headers=_PRIVATE | {"Content-Security-Policy": PICTURE_POLICY})
