"""Bodies held against the annotations of Stripe's SDK, where the schemas have no object of that name."""

from __future__ import annotations

import decimal
import types
import typing
from typing import Any, Final

import stripe
from stripe import v2

Obj = dict[str, Any]
ANNOTATED: Final[dict[str, Any]] = {
    "account": stripe.Account, "card": stripe.Card, "charge": stripe.Charge,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "invoiceitem": stripe.InvoiceItem, "billing.meter_event_adjustment": stripe.billing.MeterEventAdjustment,
    "billing.meter_event_summary": stripe.billing.MeterEventSummary, "billing.credit_grant": stripe.billing.CreditGrant,
    "v2.billing.meter_event": v2.billing.MeterEvent, "v2.billing.meter_event_session": v2.billing.MeterEventSession,
    "v2.billing.meter_event_adjustment": v2.billing.MeterEventAdjustment, "v2.core.event": v2.core.Event,
    "v2.core.event_destination": v2.core.EventDestination,
}  # fmt: skip
_AS_JSON: Final[dict[Any, tuple[type, ...]]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (int, float),
    decimal.Decimal: (str,),
    type(None): (type(None),),
}


def misfits(kind: str, body: Obj) -> list[str]:
    """Return what a body has that the SDK's class has not, lacks, or has of another type; empty where it fits."""
    return _misfits(ANNOTATED[kind], body, kind)


def _misfits(owner: Any, body: Obj, place: str) -> list[str]:
    hints: dict[str, Any] = {
        n: h for n, h in owner.__annotations__.items() if typing.get_origin(h) is not typing.ClassVar
    }
    found = [f"{place}.{name} is no field" for name in body if name not in hints]
    for name, hint in hints.items():
        if name not in body:
            if not _fits(None, hint):
                found.append(f"{place}.{name} is missing")
        elif not _fits(body[name], hint):
            found.append(f"{place}.{name} is {body[name]!r}")
    return found


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in typing.cast("list[Any]", value))
    if hint in _AS_JSON:
        return isinstance(value, _AS_JSON[hint]) and not (hint is int and isinstance(value, bool))
    if not isinstance(value, dict):
        return False
    fields = getattr(hint, "__annotations__", {}) if isinstance(hint, type) else {}
    return not fields or not _misfits(hint, typing.cast("Obj", value), hint.__name__)
