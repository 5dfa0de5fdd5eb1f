"""Ways to Stripe's pages, and what is sold.  No price and no URL is ever taken from a client."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from interlock.api.auth.tokens import User
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import BODY, SIGNED_IN, STRIPES, OptionalBody, answers, refuses
from interlock.api.schema.shapes import CheckoutAnswer, CheckoutBody, PortalAnswer, PortalBody, StrictBody
from interlock.engine import Interlock, PlanShown

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
    dto=StrictBody[CheckoutBody],
    return_dto=None,
    request_max_body_size=MAX_BODY,
    operation_id="createCheckout",
    tags=["billing"],
    summary="Begin a subscription",
    responses=answers(
        201,
        CheckoutAnswer,
        "A page of Stripe's where the user pays; the one that is open already, where there is one.",
        example={"id": "cs_1", "url": "https://checkout.stripe.com/c/cs_1", "expires_at": "2026-11-25T00:00:00Z"},
    )
    | refuses(*SIGNED_IN, *BODY, *STRIPES, "already_subscribed", "unknown_plan", "unknown_promotion_code", "bad_value"),
)
async def create_checkout(
    user: NamedDependency[User],
    runtime: NamedDependency[Runtime],
    data: JSONBody[CheckoutBody],
) -> Response[CheckoutAnswer]:
    """Open Stripe's checkout for a plan of the catalogue.  409 while a subscription lives: the portal is the way on."""
    runtime.buckets.take(user.id)
    session = await runtime.interlock.checkout(
        user.id, plan=data.plan, quantity=data.quantity, promotion_code=data.promotion_code, email=user.email
    )
    return Response(CheckoutAnswer(session.id, session.url, session.expires_at), headers=_PRIVATE)


@post(
    "/portal",
    dto=StrictBody[PortalBody],
    return_dto=None,
    request_max_body_size=MAX_BODY,
    operation_class=OptionalBody,
    operation_id="createPortal",
    tags=["billing"],
    summary="Manage a subscription",
    responses=answers(
        201,
        PortalAnswer,
        "A page of Stripe's where the user changes card, plan or subscription.",
        example={"url": "https://billing.stripe.com/p/session/1"},
    )
    | refuses(*SIGNED_IN, *BODY, *STRIPES, "no_customer", "bad_value"),
)
async def create_portal(
    user: NamedDependency[User],
    runtime: NamedDependency[Runtime],
    data: JSONBody[PortalBody] = PortalBody(),  # noqa: B008  frozen
) -> Response[PortalAnswer]:
    """Open Stripe's customer portal, at once on the page of a flow where one is named.  409 with no customer yet."""
    runtime.buckets.take(user.id)
    return Response(PortalAnswer(await runtime.interlock.portal(user.id, flow=data.flow)), headers=_PRIVATE)


@get(
    "/plans",
    operation_id="listPlans",
    tags=["billing"],
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
