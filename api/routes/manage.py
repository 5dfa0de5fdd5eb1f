"""What a user does to their subscription: change, cancel, resume, pause.  Each answers with the state after it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody

from interlock.api.auth.tokens import User
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import BODY, SIGNED_IN, STRIPES, USER_STATE, answers, refuses
from interlock.api.schema.shapes import StrictBody
from interlock.engine import (
    CancelBody,
    CancelPreview,
    ChangeBody,
    ChangePreview,
    DatedState,
    PauseBody,
    ResumeBody,
)

MAX_BODY: Final = 16 * 1024
_VERB: Final[dict[str, Any]] = {"return_dto": None, "request_max_body_size": MAX_BODY, "tags": ["subscription"]}
_COMMON: Final = (*SIGNED_IN, *BODY, *STRIPES, "bad_value")
_ONCE: Final = (*_COMMON, "busy", "key_reused", "no_subscription")
_CHANGES: Final = (
    "past_due", "paused", "ending", "change_pending", "foreign_schedule", "several_items", "not_sold", "not_offered",
    "unknown_plan", "unknown_interval", "unknown_promotion_code", "quantity", "other_currency",
)  # fmt: skip

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key again does nothing more; without one, the same body on the same state is one click.",
    ),
]


async def state_after(runtime: Runtime, user_id: str) -> Response[bytes]:
    """Return the user's state, as every verb answers it."""
    shown = await runtime.interlock.shown(user_id)
    headers = {"Cache-Control": "no-store", "ETag": f'"{shown.version}"'}
    return Response(shown.body, status_code=200, media_type="application/json", headers=headers)


def _state(description: str) -> dict[int, Any]:
    return answers(200, DatedState, description, example=USER_STATE)


@post(
    "/subscription/change/preview",
    status_code=200,
    dto=StrictBody[ChangeBody],
    **_VERB,
    operation_id="previewChange",
    summary="What a change would cost",
    responses=answers(200, ChangePreview, "What it leads to and costs, by Stripe.")
    | refuses(*_COMMON, *_CHANGES, "no_subscription", "same_plan"),
)
async def preview_change(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], data: JSONBody[ChangeBody]
) -> Response[ChangePreview]:
    """Ask Stripe what a change of plan, interval or quantity costs; nothing is changed."""
    runtime.buckets.take(user.id)
    return Response(await runtime.interlock.preview_change(user.id, data), headers={"Cache-Control": "no-store"})


@post(
    "/subscription/change",
    status_code=200,
    dto=StrictBody[ChangeBody],
    **_VERB,
    operation_id="changeSubscription",
    summary="Change plan, interval or quantity",
    responses=_state("The state after it; where it waits for its payment, `pending_change` says where to pay.")
    | refuses(*_ONCE, *_CHANGES, "price_changed", "over_limit", "payment_method_required", "payment_action_required"),
)
async def change(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[ChangeBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Change the subscription.  With the preview's `agreed`, the money is held to it."""
    runtime.buckets.take(user.id)
    await runtime.interlock.change(user.id, data, key=idempotency_key)
    return await state_after(runtime, user.id)


@delete(
    "/subscription/change",
    status_code=200,
    **_VERB,
    operation_id="undoChange",
    summary="Keep the present plan",
    responses=_state("The state after it.") | refuses(*_ONCE, "foreign_schedule"),
)
async def undo_change(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], idempotency_key: IdempotencyKey = None
) -> Response[bytes]:
    """Undo the change that waits, for the period's end or for its payment."""
    runtime.buckets.take(user.id)
    await runtime.interlock.undo_change(user.id, key=idempotency_key)
    return await state_after(runtime, user.id)


@post(
    "/subscription/cancel/preview",
    status_code=200,
    dto=StrictBody[CancelBody],
    **_VERB,
    operation_id="previewCancel",
    summary="What a cancellation would do",
    responses=answers(200, CancelPreview, "When it ends, how long access lasts, and what is open.")
    | refuses(*_COMMON, "no_subscription", "not_offered", "foreign_schedule", "ending"),
)
async def preview_cancel(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[CancelBody] = CancelBody(),  # noqa: B008  frozen
) -> Response[CancelPreview]:
    """Say when the subscription would end, and whether an open invoice would be voided."""
    runtime.buckets.take(user.id)
    return Response(await runtime.interlock.preview_cancel(user.id, data), headers={"Cache-Control": "no-store"})


@post(
    "/subscription/cancel",
    status_code=200,
    dto=StrictBody[CancelBody],
    **_VERB,
    operation_id="cancelSubscription",
    summary="Cancel",
    responses=_state("The state after it.") | refuses(*_ONCE, "not_offered", "foreign_schedule", "unknown_reason"),
)
async def cancel(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[CancelBody] = CancelBody(),  # noqa: B008  frozen
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Cancel the subscription: at the period's end, or now where the policy allows it."""
    runtime.buckets.take(user.id)
    await runtime.interlock.cancel(user.id, data, key=idempotency_key)
    return await state_after(runtime, user.id)


@post(
    "/subscription/resume",
    status_code=200,
    dto=StrictBody[ResumeBody],
    **_VERB,
    operation_id="resumeSubscription",
    summary="Resume",
    responses=_state("The state after it.") | refuses(*_ONCE, "foreign_schedule", "payment_method_required"),
)
async def resume(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[ResumeBody] = ResumeBody(),  # noqa: B008  frozen
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Undo a planned end, resume what is paused, or collect again."""
    runtime.buckets.take(user.id)
    await runtime.interlock.resume(user.id, data, key=idempotency_key)
    return await state_after(runtime, user.id)


@post(
    "/subscription/pause",
    status_code=200,
    dto=StrictBody[PauseBody],
    **_VERB,
    operation_id="pauseSubscription",
    summary="Pause",
    responses=_state("The state after it.")
    | refuses(*_ONCE, "not_offered", "in_trial", "past_due", "ending", "change_pending", "foreign_schedule"),
)
async def pause(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    data: JSONBody[PauseBody] = PauseBody(),  # noqa: B008  frozen
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Pause the subscription by Stripe's own pause, where the policy allows it."""
    runtime.buckets.take(user.id)
    await runtime.interlock.pause(user.id, data, key=idempotency_key)
    return await state_after(runtime, user.id)
