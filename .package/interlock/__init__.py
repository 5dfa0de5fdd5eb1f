"""Interlock: a state-machine subscription engine for Stripe.

`Interlock` is the engine; `asgi` and `InterlockPlugin` put it into an application of yours.  Importing this starts
nothing and loads nothing: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock import api as api
    from interlock import engine as engine
    from interlock.api.app import InterlockApp, asgi
    from interlock.api.plugin import InterlockPlugin
    from interlock.api.runtime import UserOf
    from interlock.api.settings import Settings, load_settings
    from interlock.engine import (
        TRANSITIONS,
        Access,
        AccessShown,
        BadConfiguration,
        Catalogue,
        Clock,
        Config,
        Decision,
        Difference,
        Entry,
        Evidence,
        Facts,
        HistoryPage,
        Interlock,
        InterlockError,
        Kind,
        Outcome,
        PlanHeld,
        PlanShown,
        Shown,
        State,
        Subscription,
        Transition,
        Watch,
        access,
        available_actions,
        decide,
        diagram,
        errors,
        load_catalogue,
        move,
        no_telemetry,
        read_catalogue,
        usable_user,
    )

_OF_THE_API = {
    "InterlockApp": "interlock.api.app",
    "asgi": "interlock.api.app",
    "InterlockPlugin": "interlock.api.plugin",
    "UserOf": "interlock.api.runtime",
    "Settings": "interlock.api.settings",
    "load_settings": "interlock.api.settings",
}

__all__ = [
    "TRANSITIONS",
    "Access",
    "AccessShown",
    "BadConfiguration",
    "Catalogue",
    "Clock",
    "Config",
    "Decision",
    "Difference",
    "Entry",
    "Evidence",
    "Facts",
    "HistoryPage",
    "Interlock",
    "InterlockApp",
    "InterlockError",
    "InterlockPlugin",
    "Kind",
    "Outcome",
    "PlanHeld",
    "PlanShown",
    "Settings",
    "Shown",
    "State",
    "Subscription",
    "Transition",
    "UserOf",
    "Watch",
    "access",
    "asgi",
    "available_actions",
    "decide",
    "diagram",
    "errors",
    "load_catalogue",
    "load_settings",
    "move",
    "no_telemetry",
    "read_catalogue",
    "usable_user",
]


def __getattr__(name: str) -> Any:
    if name in ("api", "engine"):
        return import_module(f"interlock.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'interlock' has no attribute {name!r}")
    value = getattr(import_module(_OF_THE_API.get(name, "interlock.engine")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
