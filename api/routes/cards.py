"""A user's payment methods: listed, added, made the default, removed.  They are read through from Stripe."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Struct

from interlock.api.auth.tokens import User
from interlock.api.routes.manage import MAX_BODY, IdempotencyKey, state_after
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import BODY, SIGNED_IN, STRIPES, USER_STATE, answers, refuses
from interlock.api.schema.shapes import StrictBody
from interlock.engine import DatedState, NewCard, PaymentMethodShown

MethodId = Annotated[str, PathParameter(max_length=255, description="A payment method's id.")]
_PRIVATE: Final = {"Cache-Control": "no-store"}
_REFUSED: Final = (*SIGNED_IN, *STRIPES, "not_found", "busy", "key_reused", "too_many_requests")


class PaymentMethodList(Struct, frozen=True):
    """The user's payment methods, the default first."""

    items: tuple[PaymentMethodShown, ...]


class NewCardBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Where it is to be added: on a page of Stripe's, or in a form of one's own."""

    ui: Literal["hosted", "embedded"] = "hosted"


@get(
    "/payment-methods",
    operation_id="listPaymentMethods",
    tags=["payment methods"],
    summary="The user's payment methods",
    responses=answers(200, PaymentMethodList, "The default first.") | refuses(*SIGNED_IN, *STRIPES),
)
async def list_payment_methods(
    runtime: NamedDependency[Runtime], user: NamedDependency[User]
) -> Response[PaymentMethodList]:
    """List the user's payment methods, the default first."""
    runtime.buckets.take(user.id)
    return Response(PaymentMethodList(await runtime.interlock.payment_methods(user.id)), headers=_PRIVATE)


@post(
    "/payment-methods",
    dto=StrictBody[NewCardBody],
    return_dto=None,
    request_max_body_size=MAX_BODY,
    operation_id="addPaymentMethod",
    tags=["payment methods"],
    summary="Add a payment method",
    responses=answers(201, NewCard, "A page of Stripe's, or the secret for a form of one's own.")
    | refuses(*SIGNED_IN, *BODY, *STRIPES, "no_customer"),
)
async def add_payment_method(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[NewCardBody] = NewCardBody(),  # noqa: B008  frozen
) -> Response[NewCard]:
    """Begin to add a payment method."""
    runtime.buckets.take(user.id)
    new = await runtime.interlock.add_payment_method(user.id, embedded=data.ui == "embedded")
    return Response(new, headers=_PRIVATE)


@post(
    "/payment-methods/{method_id:str}/default",
    status_code=200,
    operation_id="makeDefault",
    tags=["payment methods"],
    summary="Charge this one from now on",
    responses=answers(200, DatedState, "The state after it.", example=USER_STATE)
    | refuses(*_REFUSED, "payment_method_required", "payment_action_required"),
)
async def make_default(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    method_id: MethodId,
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Make it the default of customer and subscription, and pay with it what is open."""
    runtime.buckets.take(user.id)
    await runtime.interlock.make_default(user.id, method_id, key=idempotency_key)
    return await state_after(runtime, user.id)


@delete(
    "/payment-methods/{method_id:str}",
    status_code=200,
    operation_id="removePaymentMethod",
    tags=["payment methods"],
    summary="Remove a payment method",
    responses=answers(200, DatedState, "The state after it.", example=USER_STATE) | refuses(*_REFUSED, "in_use"),
)
async def remove_payment_method(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    method_id: MethodId,
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Take a payment method away for good; 409 `in_use` for the one that a living subscription is charged to."""
    runtime.buckets.take(user.id)
    await runtime.interlock.remove_payment_method(user.id, method_id, key=idempotency_key)
    return await state_after(runtime, user.id)
