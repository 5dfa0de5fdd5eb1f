"""What one user holds: now, live, and on the way here.  The user is the token's, whatever else a request says."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import HTTPScope, Receive, Send

from interlock.api.auth.tokens import User
from interlock.api.http.conditional import PRIVATE, IfNoneMatch, send_versioned
from interlock.api.http.front import Answered
from interlock.api.http.headers import PICTURE_POLICY
from interlock.api.routes.stream import EventStream
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import ENTRY, SIGNED_IN, USER_STATE, answers, refuses
from interlock.engine import DatedState, HistoryPage, Interlock, diagram

MAX_SEQ: Final = 2**53 - 1  # what JSON can say exactly

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="At most so many entries.")]
After = Annotated[
    # gt -1, where ge 0 would be left out of the document
    int, QueryParameter(gt=-1, le=MAX_SEQ, description="Go on after this `seq`: the last page's `next`.")
]


async def send_state(runtime: Runtime, user: User, scope: HTTPScope, _: Receive, send: Send) -> None:
    """Answer with the state as it is stored, or with 304 to a client that has this version."""
    shown = await runtime.interlock.shown(user.id)
    await send_versioned(scope, send, shown.version, shown.body)


@get(
    "/subscription",
    operation_id="readSubscription",
    tags=["subscription"],
    summary="The state of the user",
    responses=answers(200, DatedState, "The state now; `ETag` is its version.", example=USER_STATE)
    | answers(304, None, "It is what you have: the `If-None-Match` names its version.")
    | refuses(*SIGNED_IN),
)
async def read_subscription(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], if_none_match: IfNoneMatch = None
) -> Answered:
    """Read the user's subscription: state, access and until when, plan, and what they can do next."""
    return Answered(partial(send_state, runtime, user))


async def send_stream(runtime: Runtime, user: User, _: HTTPScope, receive: Receive, send: Send) -> None:
    """Answer with the state, and each change of it, until the user leaves."""
    await EventStream(user, runtime)(receive, send)


@get(
    "/subscription/stream",
    media_type="text/event-stream",
    operation_id="streamSubscription",
    tags=["subscription"],
    summary="The state of the user, live",
    responses=answers(
        200,
        str,
        "Server-sent events `subscription` with the state as data: one at once, then one at each change.",
        media_type="text/event-stream",
    )
    | refuses(*SIGNED_IN, "too_many_requests"),
)
async def stream_subscription(runtime: NamedDependency[Runtime], user: NamedDependency[User]) -> Answered:
    """Get each change as it happens.  Ends when the token does; a comment comes every 15 seconds."""
    return Answered(partial(send_stream, runtime, user))


@get(
    "/subscription/history",
    operation_id="readHistory",
    tags=["subscription"],
    summary="Every decision, newest first",
    responses=answers(200, HistoryPage, "One page.", example={"items": [ENTRY], "next": 41}) | refuses(*SIGNED_IN),
)
async def read_history(
    user: NamedDependency[User], interlock: NamedDependency[Interlock], limit: Limit = 20, after: After = MAX_SEQ
) -> Response[HistoryPage]:
    """Read what each event did to the user's subscriptions, and which guard said no."""
    page = await interlock.history(user.id, limit=limit, after=after)
    return Response(page, headers=PRIVATE)


@get(
    "/subscription/diagram",
    media_type="image/svg+xml",
    operation_id="drawSubscription",
    tags=["subscription"],
    summary="The machine, with the user in it",
    responses=answers(200, str, "A picture.", media_type="image/svg+xml") | refuses(*SIGNED_IN),
)
async def draw_subscription(user: NamedDependency[User], interlock: NamedDependency[Interlock]) -> Response[str]:
    """Draw the machine with the user's current state and the way taken marked."""
    current, taken = await interlock.way(user.id)
    picture = diagram.svg(current=current, taken=taken)
    return Response(picture, media_type="image/svg+xml", headers=PRIVATE | {"Content-Security-Policy": PICTURE_POLICY})
