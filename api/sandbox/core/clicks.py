"""What a page sends: the arguments of the function behind a button, and whether they are of its types."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from interlock.api.sandbox.core.errors import Obj, invalid


def arguments(action: Callable[..., Any], given: Obj) -> list[Any]:
    """What a page sends, as the arguments of `action` after the ledger and the id, by the names of its parameters.

    A text that is not there is empty, a switch off; the rest is checked by `fit`.
    """
    parameters = list(inspect.signature(action).parameters.values())[2:]
    found: list[Any] = []
    for parameter, (name, hint) in zip(parameters, _arguments(action)[1:], strict=True):
        usual = None if parameter.default is inspect.Parameter.empty else parameter.default
        value = given.get(name, usual)
        found.append(str(value or "") if hint == (str,) else bool(value) if hint == (bool,) else value)
    return found


def fit(action: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """Refuse arguments that are not of the types which `action` names: they come from a page's JSON.

    `given` are those after the ledger.
    """
    for (name, hint), value in zip(_arguments(action), given, strict=False):
        if not any(type(value) is each for each in hint):  # a bool is no int, and a float is none either
            raise invalid(f"Invalid {name}: {value}", name)


@functools.cache
def _arguments(action: Callable[..., Any]) -> list[tuple[str, tuple[type, ...]]]:
    hints = typing.get_type_hints(action)
    return [(name, _types(hints[name])) for name in list(inspect.signature(action).parameters)[1:]]


def _types(hint: Any) -> tuple[type, ...]:
    if typing.get_origin(hint) is types.UnionType:
        return tuple(each for arg in typing.get_args(hint) for each in _types(arg))
    return (typing.get_origin(hint) or hint,)
