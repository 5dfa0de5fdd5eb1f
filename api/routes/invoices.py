"""A user's invoices: listed, opened, paid.  They are read through from Stripe; nothing of them is stored."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from interlock.api.auth.tokens import User
from interlock.api.http.problems import ApiError
from interlock.api.routes.manage import IdempotencyKey, state_after
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import SIGNED_IN, STRIPES, USER_STATE, answers, refuses
from interlock.api.schema.shapes import PortalAnswer
from interlock.engine import ChangePreview, DatedState, InvoicePage

InvoiceId = Annotated[str, PathParameter(max_length=255, description="An invoice's id.")]
InvoiceLimit = Annotated[int, QueryParameter(ge=1, le=100, description="At most so many.")]
InvoiceAfter = Annotated[
    str | None, QueryParameter(min_length=1, max_length=255, description="Go on after this id: the last page's `next`.")
]
Expires = Annotated[int | None, QueryParameter(ge=0, le=2**53 - 1, description="As listed.")]
Signature = Annotated[str | None, QueryParameter(max_length=100, description="As listed.")]
Accept = Annotated[str | None, HeaderParameter(name="Accept", description="`application/json` for the link as JSON.")]
_PRIVATE: Final = {"Cache-Control": "no-store"}
_LINK: Final[dict[str, Any]] = {
    "tags": ["invoices"],
    "responses": answers(303, None, "The way to Stripe's present link.")
    | answers(200, PortalAnswer, "The link itself, where JSON is asked for.")
    | refuses("bad_request", "unauthorized", "not_found", *STRIPES, "store_unavailable", "keys_unavailable"),
}


@get(
    "/invoices",
    operation_id="listInvoices",
    tags=["invoices"],
    summary="The user's invoices",
    responses=answers(200, InvoicePage, "Newest first; drafts are left out.")
    | refuses(*SIGNED_IN, *STRIPES, "not_found"),
)
async def list_invoices(
    runtime: NamedDependency[Runtime], user: NamedDependency[User], limit: InvoiceLimit = 20, after: InvoiceAfter = None
) -> Response[InvoicePage]:
    """List the user's invoices, newest first; amounts are in the currency's smallest unit."""
    runtime.buckets.take(user.id)
    return Response(await runtime.interlock.invoices(user.id, limit=limit, after=after), headers=_PRIVATE)


@get(
    "/invoices/upcoming",
    operation_id="readUpcomingInvoice",
    tags=["invoices"],
    summary="The next invoice",
    responses=answers(200, ChangePreview, "The next renewal, in the shape of a preview.")
    | answers(204, None, "None will come.")
    | refuses(*SIGNED_IN, *STRIPES),
)
async def read_upcoming(
    runtime: NamedDependency[Runtime], user: NamedDependency[User]
) -> Response[ChangePreview | None]:
    """Say what the next renewal will cost, by Stripe."""
    runtime.buckets.take(user.id)
    upcoming = await runtime.interlock.upcoming_invoice(user.id)
    return Response(upcoming, status_code=204 if upcoming is None else 200, headers=_PRIVATE)


@get("/invoices/{invoice_id:str}/page", operation_id="openInvoice", summary="An invoice's page", **_LINK)
async def open_invoice(
    runtime: NamedDependency[Runtime],
    request: Request[Any, Any, Any],
    invoice_id: InvoiceId,
    expires: Expires = None,
    signature: Signature = None,
    accept: Accept = None,
) -> Response[Any]:
    """Go to Stripe's page of an invoice, with a token or by a listed path."""
    return await _link(runtime, request, invoice_id, "page", expires, signature, accept)


@get("/invoices/{invoice_id:str}/pdf", operation_id="downloadInvoice", summary="An invoice's PDF", **_LINK)
async def download_invoice(
    runtime: NamedDependency[Runtime],
    request: Request[Any, Any, Any],
    invoice_id: InvoiceId,
    expires: Expires = None,
    signature: Signature = None,
    accept: Accept = None,
) -> Response[Any]:
    """Go to the PDF of an invoice, with a token or by a listed path."""
    return await _link(runtime, request, invoice_id, "pdf", expires, signature, accept)


async def _link(
    runtime: Runtime,
    request: Request[Any, Any, Any],
    invoice_id: str,
    kind: Literal["page", "pdf"],
    expires: int | None,
    signature: str | None,
    accept: str | None,
) -> Response[Any]:
    """A listed path proves itself for an hour; without a signature, the token says whose invoice it must be."""
    interlock = runtime.interlock
    if expires is not None and signature is not None:
        if not interlock.proves_invoice_link(invoice_id, kind, expires, signature):
            raise ApiError("not_found", "This link is no longer good; open the list of invoices again.")
        user_id = None
    else:
        user_id = (await runtime.user(cast("Any", request.scope))).id
    url = await interlock.invoice_link(user_id, invoice_id, kind)
    if accept is not None and "application/json" in accept and "text/html" not in accept:
        return Response(PortalAnswer(url), headers=_PRIVATE)
    return Response(None, status_code=303, headers={**_PRIVATE, "Location": url})


@post(
    "/invoices/{invoice_id:str}/pay",
    status_code=200,
    operation_id="payInvoice",
    tags=["invoices"],
    summary="Pay an open invoice",
    responses=answers(200, DatedState, "The state after it.", example=USER_STATE)
    | refuses(
        *SIGNED_IN, *STRIPES, "not_found", "busy", "key_reused", "payment_method_required", "payment_action_required",
        "too_many_requests",
    ),
)  # fmt: skip
async def pay_invoice(
    runtime: NamedDependency[Runtime],
    user: NamedDependency[User],
    invoice_id: InvoiceId,
    idempotency_key: IdempotencyKey = None,
) -> Response[bytes]:
    """Pay an open invoice with the default payment method; where the bank says no, `url` is the invoice's page."""
    runtime.buckets.take(user.id)
    await runtime.interlock.pay(user.id, invoice_id, key=idempotency_key)
    return await state_after(runtime, user.id)
