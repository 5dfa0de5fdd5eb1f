"""Request parameters: Stripe's form encoding, and what each endpoint takes.

Which parameters exist, and of what type, is not written here a second time: it is read from the
annotations that the pinned `stripe` package carries for its own callers, so an unknown or mistyped
parameter is refused as Stripe would refuse it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from typing_extensions import is_typeddict

from interlock.api.sandbox.core.errors import Obj, StripeError, invalid, missing

_KEY = re.compile(r"\[([^\]]*)\]")
_OPTIONS = frozenset(
    {"api_key", "idempotency_key", "stripe_version", "stripe_account", "stripe_context",
     "stripe_request_trigger", "headers", "max_network_retries", "content_type"}
)  # fmt: skip
# Left out of the SDK's latest annotations, yet still sent by real clients of older versions.
_OLDER: dict[str, tuple[str, ...]] = {
    "checkout.session_create": ("payment_method_types",),
    "payment_intent_create": ("payment_method_types",),
    "setup_intent_create": ("payment_method_types",),
    "customer_create": ("coupon", "promotion_code", "source"),
    "customer_update": ("coupon", "promotion_code"),
    "subscription_create": ("coupon", "promotion_code", "trial_from_plan"),
    "subscription_update": ("coupon", "promotion_code"),
    "promotion_code_create": ("coupon",),
    "invoiceitem_create": ("price", "unit_amount"),
}
MAX_DEPTH = 8
KEY_MAX, VALUE_MAX = 40, 500
# Characters that Stripe takes of a text.
TEXT_MAX = 5_000
_LONGEST = {"client_reference_id": 200, "lookup_key": 200, "email": 512, "customer_email": 800, "identifier": 100,
            "event_name": 100}  # fmt: skip
# A longer number is the name of a field, not a place in an array.
_PLACE = re.compile(r"[0-9]{1,6}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})")
# The annotations say of a moment only that it is an integer.
_MOMENTS = frozenset(
    {"automatically_finalizes_at", "backdate_start_date", "billing_cycle_anchor", "cancel_at", "due_date",
     "effective_at", "end", "end_date", "expires_at", "frozen_time", "proration_date", "redeem_by", "resumes_at",
     "start", "start_date", "timestamp", "trial_end"}
)  # fmt: skip
# Known to Stripe, not here: refused by name, for to take them and do nothing would be a lie. A name holds at any depth,
# `hash[name]` only in that hash, and with values only those. What is empty or false asks for nothing.
NOT_HERE: dict[str, tuple[str, ...]] = {
    # taxes, but for automatic_tax, which finds none
    "default_tax_rates": (), "tax_rates": (),
    # Connect
    "application_fee_amount": (), "application_fee_percent": (), "on_behalf_of": (), "transfer_data": (),
    # subscriptions
    "backdate_start_date": (), "billing_cycle_anchor_config": (), "billing_schedules": (), "billing_thresholds": (),
    "items[discounts]": (), "pending_invoice_item_interval": (), "flexible[proration_discounts]": ("itemized",),
    # prices and coupons
    "applies_to": (), "currency_options": (),
}  # fmt: skip
_INDEX = re.compile(r"\[[0-9]+\]")
_END_OF_DATES = 32_503_680_000  # the year 3000, far enough from where calendars end


def decode(raw: str | bytes) -> Obj:
    """`a[b][0]=c&a[b][1]=d` → `{"a": {"b": ["c", "d"]}}`, by Stripe's own rules."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return nest(parse_qsl(text, keep_blank_values=True))


def nest(pairs: Iterable[tuple[str, str]]) -> Obj:
    """Nest flat form pairs; hashes whose keys are all numbers are arrays."""
    root: Obj = {}
    for key, value in pairs:
        head, _, _ = key.partition("[")
        keys = [head, *_KEY.findall(key)]
        if len(keys) > MAX_DEPTH:
            raise invalid(f"Invalid parameter: {head} is nested too deeply", head)
        node: Obj = root
        for part in keys[:-1]:
            child = node.setdefault(part or str(len(node)), {})
            if not isinstance(child, dict):
                raise invalid(f"Invalid object: {key}", head)
            node = cast("Obj", child)
        last = keys[-1] or str(len(node))
        node[last] = value
    return cast("Obj", _arrays(root, top=True))


def _arrays(node: Any, top: bool = False) -> Any:
    if not isinstance(node, dict):
        return node
    hash_ = {key: _arrays(value) for key, value in cast("Obj", node).items()}
    if hash_ and not top and all(map(_PLACE.fullmatch, hash_)):
        return [hash_[key] for key in sorted(hash_, key=int)]
    return hash_


def check(endpoint: str | None, given: Mapping[str, Any]) -> Obj:
    """The parameters with their types, or Stripe's 400 for the first that is unknown or wrong."""
    if endpoint is None:
        return dict(given) | _hash({"expand": list[str]}, {k: v for k, v in given.items() if k == "expand"}, "")
    hints = accepted(endpoint)
    older = _OLDER.get(endpoint, ())
    return _hash(hints, given, "", older)


@functools.cache
def accepted(endpoint: str) -> dict[str, Any]:
    """What an endpoint takes: `checkout.session_create` → `stripe.params.checkout.SessionCreateParams`, annotated."""
    package, _, name = endpoint.rpartition(".")
    module = importlib.import_module(".".join(filter(None, ["stripe.params", package, f"_{name.strip('_')}_params"])))
    cls = getattr(module, "".join(part.title() for part in name.split("_")) + "Params")
    return annotated(cls)


@functools.cache
def versions() -> frozenset[str]:
    """The versions of Stripe's API, as far as the SDK knows them."""
    return frozenset(typing.get_args(accepted("webhook_endpoint_create")["api_version"]))


@functools.cache
def annotated(cls: type) -> dict[str, Any]:
    """The parameters in one hash of the SDK's, with their types."""
    # The request options stand among the parameters there; their types are not importable from it.
    own = {key: hint for key, hint in cls.__annotations__.items() if key not in _OPTIONS}
    holder = types.SimpleNamespace(__annotations__=own)
    return typing.get_type_hints(holder, vars(importlib.import_module(cls.__module__)))


def _hash(hints: dict[str, Any], given: Mapping[str, Any], path: str, older: tuple[str, ...] = ()) -> Obj:
    out: Obj = {}
    if isinstance(labels := given.get("metadata"), dict):
        _check_labels(cast("Obj", labels), f"{path}[metadata]" if path else "metadata")
    for key, value in given.items():
        name = f"{path}[{key}]" if path else key
        if key in hints:
            out[key] = _value(hints[key], value, name)
            _here(name, out[key])
        elif key in older:
            out[key] = value
        else:
            raise StripeError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    return out


def _check_labels(labels: Obj, name: str) -> None:
    """Metadata: keys of 40 characters without square brackets, values of 500."""
    for key, value in labels.items():
        if len(key) > KEY_MAX:
            raise invalid(_too_long("key", KEY_MAX, key), name)
        if len(str(value)) > VALUE_MAX:
            raise invalid(_too_long("value", VALUE_MAX, str(value)), f"{name}[{key}]")


def _too_long(what: str, most: int, text: str) -> str:
    return (f"Metadata {what}s can have up to {most} characters, but you passed in a {what} that is {len(text)} "
            f"characters. Invalid {what}: {text}")  # fmt: skip


def _here(name: str, value: Any) -> None:
    *_, hash_, last = _INDEX.sub("", "[" + name).replace("]", "").split("[")
    values = NOT_HERE.get(f"{hash_}[{last}]", NOT_HERE.get(last))
    if value and values is not None and (not values or value in values):
        what = f"{name}={value}" if values else name
        raise invalid(f"Stripe knows {what}, but the sandbox does not have it.", name)


def _value(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _union(args, value, name)
    if origin is Literal:
        return _union((hint,), value, name)
    if origin is list:
        return _list(args[0], value, name)
    if origin is dict:
        if not isinstance(value, dict):
            raise invalid("Invalid object", name)
        return {str(k): _value(args[1], v, f"{name}[{k}]") for k, v in cast("Obj", value).items()}
    if is_typeddict(hint):
        if not isinstance(value, dict):
            raise invalid("Invalid object", name)
        return _complete(hint, _hash(annotated(hint), cast("Obj", value), name), name)
    return _scalar(hint, value, name)


def _complete(hash_: type, out: Obj, name: str) -> Obj:
    """A hash inside the parameters has all that it must have; of the parameters themselves the handlers know better."""
    for key in annotated(hash_):
        if key in cast("Any", hash_).__required_keys__ and key not in out:
            raise missing(f"{name}[{key}]")
    return out


def _list(item: Any, value: Any, name: str) -> Any:
    if value == "":
        return []
    if not isinstance(value, list):
        raise invalid("Invalid array", name)
    return [_value(item, each, f"{name}[{n}]") for n, each in enumerate(cast("list[Any]", value))]


def _union(args: tuple[Any, ...], value: Any, name: str) -> Any:
    """Of several types take the one that fits; `Literal[…] | str` is Stripe's closed set of values."""
    literals = [word for arg in args if typing.get_origin(arg) is Literal for word in typing.get_args(arg)]
    if value in literals:
        return value
    closed = any(word != "" for word in literals)
    simple = [arg for arg in args if arg in _SCALARS and not (closed and arg is str)]
    compound = [arg for arg in args if typing.get_origin(arg) in (list, dict) or is_typeddict(arg)]
    if closed and not simple and isinstance(value, str):
        raise invalid(f"Invalid {name}: must be one of {_listed([word for word in literals if word != ''])}", name)
    if compound and isinstance(value, dict | list):
        fitting = [arg for arg in compound if (typing.get_origin(arg) is list) == isinstance(value, list)]
        return _value((fitting or compound)[0], value, name)
    for arg in sorted(simple, key=lambda each: each is str):  # the strict ones first
        if arg is str or arg is simple[-1]:
            return _scalar(arg, value, name)
        try:
            return _scalar(arg, value, name)
        except StripeError:
            continue
    raise invalid("Invalid object" if compound else f"Invalid {name}", name)


def _listed(words: list[Any]) -> str:
    *first, last = words
    return f"{', '.join(first)}, or {last}" if first else str(last)


def _scalar(hint: Any, value: Any, name: str) -> Any:
    if isinstance(value, dict | list):
        raise invalid("Invalid string: expected a scalar", name)
    return _SCALARS.get(hint, _text)(value, name)


def _text(value: Any, name: str) -> str:
    text, most = str(value), _LONGEST.get(name, TEXT_MAX)
    if len(text) > most and not name.endswith("url") and not name.rpartition("[")[0].endswith("metadata"):
        raise invalid(f"Invalid string: {text[:10]}...{text[-10:]}; must be at most {most} characters", name)
    return text


def _boolean(value: Any, name: str) -> bool:
    if value in (True, False, "true", "false"):
        return value in (True, "true")
    raise invalid(f"Invalid boolean: {value}", name)


def whole(value: Any, name: str) -> int:
    """An integer, and where it is a moment one that has a date."""
    if not _INTEGER.fullmatch(str(value)):
        raise StripeError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    number = int(value)
    if name.rpartition("[")[2].rstrip("]") in _MOMENTS and not 0 <= number < _END_OF_DATES:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp", name)
    return number


def _number(value: Any, name: str) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(number := float(value)):
            return number
    raise invalid(f"Invalid decimal: {value}", name)


def _decimal(value: Any, name: str) -> str:
    """Kept as it was written: Stripe's `…_decimal` fields are text."""
    if not _DECIMAL.fullmatch(str(value)):
        raise invalid(f"Invalid decimal: {value}", name)
    return str(value)


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: _text, bool: _boolean, int: whole, float: _number, Decimal: _decimal,
}  # fmt: skip
