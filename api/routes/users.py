"""What your own backend asks of any user, with SERVICE_TOKEN."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from interlock.api.auth.tokens import User
from interlock.api.http.conditional import IfNoneMatch
from interlock.api.http.front import Answered
from interlock.api.http.problems import ApiError
from interlock.api.routes.subscription import MAX_SEQ, After, Limit, send_state
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import BODY, ENTRY, SIGNED_IN, USER_STATE, answers, refuses
from interlock.api.schema.shapes import StrictBody
from interlock.engine import DatedState, HistoryPage, Interlock, usable_user

MAX_BATCH: Final = 100
MAX_BODY: Final = 64 * 1024
_PRIVATE: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}


class UsersBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which users to read, at most 100 at a time."""

    ids: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=200)]],
        Meta(max_length=MAX_BATCH, description="Ids of users, as in their tokens."),
    ]


class UsersAnswer(Struct, frozen=True):
    """The state of each user, in the order of the question."""

    items: list[DatedState]


@get(
    "/users/{user_id:str}",
    operation_id="readUser",
    tags=["users"],
    summary="All about one user",
    responses=answers(200, DatedState, "The state now; `ETag` is its version.", example=USER_STATE)
    | answers(304, None, "It is what you have: the `If-None-Match` names its version.")
    | refuses(*SIGNED_IN, "not_found"),
)
async def read_user(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], if_none_match: IfNoneMatch = None
) -> Answered:
    """Read what a user holds, in one read.  A user whom nobody has seen is `none`, as they would be for themselves."""
    return Answered(partial(send_state, runtime, user))


@post(
    "/users",
    dto=StrictBody[UsersBody],
    return_dto=None,
    status_code=200,
    request_max_body_size=MAX_BODY,
    operation_id="readUsers",
    tags=["users"],
    summary="The states of many users",
    responses=answers(200, UsersAnswer, "One state for each id, in their order.", example={"items": [USER_STATE]})
    | refuses(*SIGNED_IN, *BODY, "not_found"),
)
async def read_users(interlock: NamedDependency[Interlock], data: JSONBody[UsersBody]) -> Response[bytes]:
    """Read up to 100 users at a time."""
    if any(usable_user(user_id) is None for user_id in data.ids):
        raise ApiError("bad_body", "An id is no user's.")
    shown = [await interlock.shown(user_id) for user_id in data.ids]
    body = b'{"items":[%b]}' % b",".join(one.body for one in shown)
    return Response(body, media_type="application/json", headers=_PRIVATE)


@get(
    "/users/{user_id:str}/history",
    operation_id="readUserHistory",
    tags=["users"],
    summary="Every decision about one user, newest first",
    responses=answers(200, HistoryPage, "One page.", example={"items": [ENTRY], "next": 41})
    | refuses(*SIGNED_IN, "not_found"),
)
async def read_user_history(
    user: NamedDependency[User], interlock: NamedDependency[Interlock], limit: Limit = 20, after: After = MAX_SEQ
) -> Response[HistoryPage]:
    """Read what each event did to the user's subscriptions, and which guard said no."""
    return Response(await interlock.history(user.id, limit=limit, after=after), headers=_PRIVATE)
