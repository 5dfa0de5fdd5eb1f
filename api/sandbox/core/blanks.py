"""A new object with every field that Stripe would show, empty: read from the annotations of the pinned `stripe`."""

from __future__ import annotations

import functools
import typing
from typing import Any

from stripe._object_classes import get_object_class  # the SDK's own table: "invoice" → stripe.Invoice

from interlock.api.sandbox.core.errors import Obj

# The annotations say `Optional` of what is null and of what is left out. Left out are: what only a request or
# `expand[]` adds, what a deleted object alone has, and what belongs to features that are not here.
_LEFT_OUT = frozenset(
    {"account", "applies_to", "context", "currency_options", "deleted", "presentment_details", "radar_options",
     "secret", "tiers"}
)  # fmt: skip
_LEFT_OUT_OF: dict[str, str] = {
    "billing_portal.session": "after_expiration",
    "charge": "authorization_code level3 refunds transfer",
    "checkout.session": "branding_settings excluded_payment_method_types line_items name_collection "
                        "tax_id_collection",
    "customer": "business_name cash_balance individual_name invoice_credit_balance sources subscriptions tax tax_ids",
    "invoice": "confirmation_secret payments threshold_reason",
    "invoiceitem": "frozen_fields invoicing_rules",
    "payment_intent": "amount_details hooks managed_payments payment_details payment_record source",
    "item": "discounts taxes",
    "product": "tax_details",
    "setup_intent": "attach_to_self managed_payments",
    "subscription_item": "billed_until current_trial quantity",
}  # fmt: skip
# Of these, whose fields depend on a type, only these are null.
_ONLY: dict[str, str] = {"card": "name", "payment_method": "customer customer_account"}


def blank(kind: str) -> Obj:
    """A hash with `object`, null for `id`, `created` and each optional field, `livemode: false`, empty metadata."""
    return {name: {} if name == "metadata" else value for name, value in _fields(kind).items()}


@functools.cache
def _fields(kind: str) -> dict[str, Any]:
    left_out = _LEFT_OUT | frozenset(_LEFT_OUT_OF.get(kind, "").split())
    only = _ONLY.get(kind)
    fields: dict[str, Any] = {"id": None, "object": kind}
    for name, hint in get_object_class("V1", kind).__annotations__.items():
        wanted = name not in left_out and (only is None or name in only.split())
        if name in ("livemode", "metadata"):
            fields[name] = False
        elif name == "created" or (type(None) in typing.get_args(hint) and wanted):
            fields[name] = None
    return fields
