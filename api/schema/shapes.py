"""The JSON that comes in, decoded strictly, and the JSON that goes out, as the OpenAPI document shows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from litestar.dto import MsgspecDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition
from msgspec import Meta, Struct

from interlock.api.http.problems import ApiError
from interlock.engine import (
    Outcome,
)

T = TypeVar("T", bound=Struct)
D = TypeVar("D")

MAX_QUANTITY = 10_000
_BAD_VALUES = ("- at `$.quantity`", "- at `$.flow`")
"""Where a wrong value is a value that is not taken (422), rather than a body of another form (400)."""

Flow = Literal["payment_method_update", "subscription_cancel", "subscription_update", "subscription_pause"]
Time = Annotated[str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})]


class CheckoutBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a user wants to buy.  Nothing here is a price or a URL: both are ours."""

    plan: Annotated[str, Meta(min_length=1, max_length=255, description="A key of the catalogue, GET /plans.")]
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY, description="Seats.")] = 1
    promotion_code: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class PortalBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of Stripe's portal to open; without a flow, its first page."""

    flow: Flow | None = None


class CheckoutAnswer(Struct, frozen=True):
    """Send the user to `url`; it is good until `expires_at`."""

    id: str
    url: str
    expires_at: Time


class PortalAnswer(Struct, frozen=True):
    """Send the user to `url`."""

    url: str


class WebhookAnswer(Struct, frozen=True):
    """The event is durable; this is what came of it."""

    id: str
    outcome: Outcome


def strictly(decode: Callable[[bytes], D], body: bytes) -> D:
    """Decode a body; raise ApiError, which says what is wrong with it."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        words = str(error)
        raise ApiError("bad_value" if words.endswith(_BAD_VALUES) else "bad_body", words) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ApiError("bad_body", "The body is not JSON.") from None


class StrictBody(MsgspecDTO[T], Generic[T]):
    """Decodes a JSON body without any leniency, where Litestar's own would take "5" for 5."""

    def decode_bytes(self, value: bytes) -> Any:
        return strictly(partial(msgspec.json.decode, type=self.model_type), value)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing to prepare: msgspec decodes into the struct itself."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Say what is so: a member that is not known is refused."""
        schema = schema_creator.for_field_definition(field_definition)
        if isinstance(schema, Reference):
            schema_creator.schema_registry.from_reference(schema).schema.additional_properties = False
        return schema
