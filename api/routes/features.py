"""What a user may use now, and what is left of it.  No call to Stripe lies on this way."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.types import HTTPScope, Receive, Send

from interlock.api.auth.tokens import User
from interlock.api.http.conditional import PRIVATE, IfNoneMatch, send_versioned
from interlock.api.http.front import JSON, Answered, Headers, reply
from interlock.api.http.problems import ApiError
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import SIGNED_IN, answers, refuses
from interlock.engine import FeatureAsked, FeaturesShown, UnknownFeature

_encode: Final = msgspec.json.Encoder().encode
_PRIVATE_RAW: Final[Headers] = [(name.lower().encode(), value.encode()) for name, value in PRIVATE.items()]
Key = Annotated[str, PathParameter(description="A feature of the catalogue.")]
EXAMPLE: Final = {
    "key": "api_calls",
    "allowed": True,
    "reason": "plan",
    "until": None,
    "limit": 10000,
    "used": 7400,
    "remaining": 2600,
    "resets_at": "2026-12-24T00:00:00Z",
}


async def send_features(runtime: Runtime, user: User, scope: HTTPScope, _: Receive, send: Send) -> None:
    """Answer with all features, or with 304 to a client that has this version."""
    shown = await runtime.interlock.features(user.id)
    await send_versioned(scope, send, shown.version, _encode(shown))


async def send_feature(runtime: Runtime, user_id: str, key: str, send: Send) -> None:
    """Answer with one feature of a user; one that the catalogue does not name is a 404, and never allowed."""
    try:
        shown = await runtime.interlock.feature(user_id, key)
    except UnknownFeature as error:
        raise ApiError("not_found", error.detail) from None
    await reply(send, 200, [JSON, *_PRIVATE_RAW], _encode(shown))


async def send_own_feature(runtime: Runtime, user: User, scope: HTTPScope, _: Receive, send: Send) -> None:
    """Answer with the feature that the path names, of the user whose token it is."""
    await send_feature(runtime, user.id, scope["path"].rpartition("/")[2], send)


@get(
    "/features",
    operation_id="listFeatures",
    tags=["features"],
    summary="What the user may use",
    responses=answers(
        200, FeaturesShown, "Every feature; `ETag` is the version.", example={"items": [EXAMPLE], "version": 7}
    )
    | answers(304, None, "It is what you have: the `If-None-Match` names its version.")
    | refuses(*SIGNED_IN),
)
async def list_features(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], if_none_match: IfNoneMatch = None
) -> Answered:
    """List every feature of the catalogue: whether it is allowed, by what, and what is left of it."""
    return Answered(partial(send_features, runtime, user))


@get(
    "/features/{key:str}",
    operation_id="readFeature",
    tags=["features"],
    summary="May the user use this?",
    responses=answers(200, FeatureAsked, "The feature.", example=EXAMPLE | {"plans": ["pro", "team"]})
    | refuses(*SIGNED_IN, "not_found"),
)
async def read_feature(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    key: Key,
) -> Answered:
    """Read one feature, and which plans on sale would allow one more use of it.  An unknown one is never allowed."""

    async def way(_: HTTPScope, __: Receive, send: Send) -> None:
        await send_feature(runtime, user.id, key, send)

    return Answered(way)
