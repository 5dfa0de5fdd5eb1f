"""Ways to Stripe's pages, and what is sold.  No price and no URL is ever taken from a client."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from interlock.api.auth.tokens import UserRequest, require_user
from interlock.api.http.limits import TokenBuckets
from interlock.api.schema.docs import ANYONE, USER, answers, refuses
from interlock.api.schema.shapes import CheckoutAnswer, CheckoutBody, PortalAnswer, PortalBody, StrictBody
from interlock.engine.interlock import Interlock, PlanShown

BURST: Final = 60
PER_SECOND: Final = 1.0
"""Checkouts and portals of one user: so many at once, then so many a second."""
MAX_BODY: Final = 16 * 1024
_PRIVATE: Final = {"Cache-Control": "no-store"}


class Plans(Struct, frozen=True):
    """The catalogue.  `amount`, `currency` and `interval` are there once Stripe was asked for the price."""

    items: list[PlanShown]


@post(
    "/checkout",
    guards=[require_user],
    dto=StrictBody[CheckoutBody],
    return_dto=None,
    request_max_body_size=MAX_BODY,
    operation_id="createCheckout",
    tags=["billing"],
    security=USER,
    summary="Begin a subscription",
    responses=answers(
        201,
        CheckoutAnswer,
        "A page of Stripe's where the user pays; the one that is open already, where there is one.",
        example={"id": "cs_1", "url": "https://checkout.stripe.com/c/cs_1", "expires_at": "2026-11-25T00:00:00Z"},
    )
    | refuses(400, 401, 409, 413, 422, 429, 502, 503, 504),
)
async def create_checkout(
    request: UserRequest,
    interlock: NamedDependency[Interlock],
    buckets: NamedDependency[TokenBuckets],
    data: JSONBody[CheckoutBody],
) -> Response[CheckoutAnswer]:
    """Open Stripe's checkout for a plan of the catalogue.  409 while a subscription lives: the portal is the way on."""
    user_id = request.user.id
    buckets.take(user_id)
    session = await interlock.checkout(
        user_id, plan=data.plan, quantity=data.quantity, promotion_code=data.promotion_code
    )
    return Response(CheckoutAnswer(session.id, session.url, session.expires_at), headers=_PRIVATE)


@post(
    "/portal",
    guards=[require_user],
    dto=StrictBody[PortalBody],
    return_dto=None,
    request_max_body_size=MAX_BODY,
    operation_id="createPortal",
    tags=["billing"],
    security=USER,
    summary="Manage a subscription",
    responses=answers(
        201,
        PortalAnswer,
        "A page of Stripe's where the user changes card, plan or subscription.",
        example={"url": "https://billing.stripe.com/p/session/1"},
    )
    | refuses(400, 401, 409, 413, 422, 429, 502, 503, 504),
)
async def create_portal(
    request: UserRequest,
    interlock: NamedDependency[Interlock],
    buckets: NamedDependency[TokenBuckets],
    data: JSONBody[PortalBody] = PortalBody(),  # noqa: B008  frozen
) -> Response[PortalAnswer]:
    """Open Stripe's customer portal, at once on the page of a flow where one is named.  409 with no customer yet."""
    user_id = request.user.id
    buckets.take(user_id)
    return Response(PortalAnswer(await interlock.portal(user_id, flow=data.flow)), headers=_PRIVATE)


@get(
    "/plans",
    operation_id="listPlans",
    tags=["billing"],
    security=ANYONE,
    summary="What is sold",
    responses=answers(
        200,
        Plans,
        "The catalogue.",
        example={
            "items": [
                {
                    "key": "pro",
                    "name": "Pro",
                    "features": ["export", "sso"],
                    "price_id": "price_1",
                    "trial_days": 14,
                    "amount": 2900,
                    "currency": "usd",
                    "interval": "month",
                }
            ]
        },
    ),
)
async def list_plans(interlock: NamedDependency[Interlock]) -> Response[Plans]:
    """List the plans of the catalogue; `amount` is in the currency's smallest unit."""
    return Response(Plans(await interlock.plans()), headers={"Cache-Control": "no-cache"})
