"""What the OpenAPI document says of each route beside its types: examples, problems, who may ask."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Server,
    Tag,
)

from interlock.api.http.problems import KINDS, MEDIA_TYPE, Problem, say
from interlock.api.schema.page import Document, SchemaPage

USER: Final[list[dict[str, list[str]]]] = [{"user": []}]
SERVICE: Final[list[dict[str, list[str]]]] = [{"service": []}]
OPERATOR: Final[list[dict[str, list[str]]]] = [{"operator": []}]
STRIPE: Final[list[dict[str, list[str]]]] = [{"stripe": []}]
ANYONE: Final[list[dict[str, list[str]]]] = [{}]

SIGNED_IN: Final = ("bad_request", "unauthorized", "store_unavailable", "keys_unavailable")
"""What every route of a user's may answer."""
BODY: Final = ("bad_body", "too_large", "too_many_requests")
STRIPES: Final = ("stripe_refused", "stripe_busy", "stripe_unavailable")
"""What every route may answer that asks Stripe."""

USER_STATE: Final[dict[str, Any]] = {
    "user_id": "u_1",
    "state": "past_due",
    "access": {"granted": True, "reason": "grace_period", "until": "2026-12-01T00:00:00Z"},
    "plan": {
        "key": "pro",
        "name": "Pro",
        "features": ["export", "sso"],
        "quantity": 1,
        "price_id": "price_1",
        "interval": "month",
    },
    "addons": [{"key": "storage", "name": "Storage", "quantity": 2, "price_id": "price_2"}],
    "features": ["storage", "export", "sso"],
    "subscription_id": "sub_1",
    "current_period_end": "2026-12-24T00:00:00Z",
    "trial_end": None,
    "cancel_at": None,
    "cancellation": None,
    "collection_paused": False,
    "pending_change": None,
    "payment_problem": {
        "since": "2026-11-24T00:00:00Z",
        "code": "insufficient_funds",
        "next_attempt_at": "2026-11-27T00:00:00Z",
    },
    "grant": None,
    "available_actions": ["portal", "cancel", "pay"],
    "version": 7,
    "updated_at": "2026-11-24T00:00:00Z",
}
ENTRY: Final[dict[str, Any]] = {
    "seq": 41,
    "at": "2026-11-24T00:00:00Z",
    "event_id": "evt_1",
    "event_type": "customer.subscription.updated",
    "source": "webhook",
    "trigger": "fail_payment",
    "from": "active",
    "to": "past_due",
    "outcome": "applied",
    "guard": None,
}


def answers(
    status: int, shape: Any, description: str, *, example: Any = None, media_type: str = "application/json"
) -> dict[int, ResponseSpec]:
    """Describe the answer of a route when all is well."""
    examples = None if example is None else [_example(description, example)]
    return {status: ResponseSpec(shape, False, description, media_type, examples)}


def refuses(*codes: str) -> dict[int, ResponseSpec]:
    """Describe the problems that a route may answer, by their codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {status: _problems(status, named) for status, named in by_status.items()}


def _problems(status: int, codes: list[str]) -> ResponseSpec:
    words = f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}"
    examples = [_example(KINDS[code].detail, json.loads(say(code).body), code) for code in codes]
    return ResponseSpec(Problem, False, words, MEDIA_TYPE, examples)


@dataclass
class WholeExample(Example):
    """An example as it is, nulls and all; Litestar would drop those, and show its own `id`, which OpenAPI has not."""

    def to_schema(self) -> dict[str, Any]:
        return {"summary": self.summary, "value": self.value}


def _example(summary: str, value: Any, name: str = "example") -> Example:
    return WholeExample(id=name, summary=summary, value=value)


@dataclass
class EventOperation(Operation):
    """The webhook's operation: its handler takes raw bytes, so Litestar can't know their shape."""

    def __post_init__(self) -> None:
        schema = Schema(
            type=OpenAPIType.OBJECT,
            required=["id", "type"],
            properties={"id": Schema(type=OpenAPIType.STRING), "type": Schema(type=OpenAPIType.STRING)},
            description="One of Stripe's events, of any API version. At most 1 MiB.",
        )
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema=schema)}, required=True)


SCHEMES: Final[dict[str, SecurityScheme | Reference]] = {
    "user": SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description="The user is the verified token's `USER_CLAIM`."
    ),
    "service": SecurityScheme(type="http", scheme="bearer", description="`SERVICE_TOKEN`; unset: these are 404."),
    "operator": SecurityScheme(type="http", scheme="bearer", description="`ADMIN_TOKEN`; unset: these are 404."),
    "stripe": SecurityScheme(
        type="apiKey",
        security_scheme_in="header",
        name="Stripe-Signature",
        description="Stripe's `v1` signature of the raw body.",
    ),
}
TAGS: Final = (
    Tag(name="subscription", description="What a user holds, now and on the way here."),
    Tag(name="features", description="What a user may use, and what is left of it."),
    Tag(name="usage", description="What your own backend counts."),
    Tag(name="billing", description="Ways to Stripe's pages, and what is sold."),
    Tag(name="invoices", description="What was billed, and what comes next; read through from Stripe."),
    Tag(name="payment methods", description="What is charged; read through from Stripe."),
    Tag(name="users", description="Any user, for your own backend."),
    Tag(name="webhooks", description="Where Stripe's events arrive."),
    Tag(name="machine", description="The state machine, drawn from the table that runs."),
    Tag(name="service", description="Health and figures."),
)


@dataclass
class OptionalBody(Operation):
    """An operation whose body may be left out; Litestar calls every body required."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False


def openapi(version: str) -> OpenAPIConfig:
    """Return the document's frame.  Its server is relative to itself, so any path prefix is right."""
    return OpenAPIConfig(
        title="Interlock",
        version=version,
        description=(
            "A state-machine subscription engine for Stripe: signed webhooks in, guarded transitions, subscription "
            "state out. Times are RFC 3339 in UTC; errors are `application/problem+json`."
        ),
        components=Components(security_schemes=dict(SCHEMES)),
        servers=[Server(url="..", description="Where this document comes from.")],
        tags=[*TAGS],
        use_handler_docstrings=True,
        render_plugins=[Document(), SchemaPage()],
    )
