"""Request parameters: Stripe's form encoding, and what each endpoint takes.

Which parameters exist, and of what type, is not written here a second time: it is read from the
annotations that the pinned `stripe` package carries for its own callers, so an unknown or mistyped
parameter is refused as Stripe would refuse it.
"""

from __future__ import annotations

import functools
import importlib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from typing_extensions import is_typeddict

from .errors import Obj, StripeError, invalid

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
    if hash_ and not top and all(key.isdecimal() for key in hash_):
        return [hash_[key] for key in sorted(hash_, key=int)]
    return hash_


def check(endpoint: str | None, given: Mapping[str, Any]) -> Obj:
    """The parameters with their types, or Stripe's 400 for the first that is unknown or wrong."""
    if endpoint is None:
        return dict(given)
    hints = _spec(endpoint)
    older = _OLDER.get(endpoint, ())
    return _hash(hints, given, "", older)


@functools.cache
def _spec(endpoint: str) -> dict[str, Any]:
    """`checkout.session_create` → the annotations of `stripe.params.checkout.SessionCreateParams`."""
    package, _, name = endpoint.rpartition(".")
    module = importlib.import_module(".".join(filter(None, ["stripe.params", package, f"_{name.strip('_')}_params"])))
    cls = getattr(module, "".join(part.title() for part in name.split("_")) + "Params")
    return _hints(cls)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    # The request options stand among the parameters there; their types are not importable from it.
    own = {key: hint for key, hint in cls.__annotations__.items() if key not in _OPTIONS}
    holder = types.SimpleNamespace(__annotations__=own)
    return typing.get_type_hints(holder, vars(importlib.import_module(cls.__module__)))


def _hash(hints: dict[str, Any], given: Mapping[str, Any], path: str, older: tuple[str, ...] = ()) -> Obj:
    out: Obj = {}
    for key, value in given.items():
        name = f"{path}[{key}]" if path else key
        if key in hints:
            out[key] = _value(hints[key], value, name)
        elif key in older:
            out[key] = value
        else:
            raise StripeError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    return out


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
        return _hash(_hints(hint), cast("Obj", value), name)
    return _scalar(hint, value, name)


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
    rest = [arg for arg in args if typing.get_origin(arg) is not Literal and arg is not type(None)]
    named = [word for word in literals if word != ""]
    if named and all(arg is str for arg in rest) and isinstance(value, str):
        *first, last = named
        listed = f"{', '.join(first)}, or {last}" if first else last
        raise invalid(f"Invalid {name}: must be one of {listed}", name)
    compound = [
        arg for arg in rest
        if typing.get_origin(arg) in (list, dict) or is_typeddict(arg)
    ]  # fmt: skip
    if compound and isinstance(value, dict | list):
        wanted = list if isinstance(value, list) else dict
        fitting = [arg for arg in compound if (typing.get_origin(arg) is list) == (wanted is list)]
        return _value((fitting or compound)[0], value, name)
    simple = [arg for arg in rest if arg not in compound]
    for arg in sorted(simple, key=lambda each: each is str):  # the strict ones first
        if arg is str or arg is simple[-1]:
            return _scalar(arg, value, name)
        try:
            return _scalar(arg, value, name)
        except StripeError:
            continue
    raise invalid("Invalid object" if compound else f"Invalid {name}", name)


def _scalar(hint: Any, value: Any, name: str) -> Any:
    if isinstance(value, dict | list):
        raise invalid("Invalid string: expected a scalar", name)
    if hint is bool:
        if value in (True, False, "true", "false"):
            return value in (True, "true")
        raise invalid(f"Invalid boolean: {value}", name)
    if hint is int:
        try:
            return int(value)
        except (TypeError, ValueError):
            raise StripeError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name) from None
    if hint is float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise invalid(f"Invalid decimal: {value}", name) from None
    return str(value)
