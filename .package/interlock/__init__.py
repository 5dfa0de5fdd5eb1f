"""Interlock: a state-machine subscription engine for Stripe.

`Interlock` is the engine; `asgi` and `InterlockPlugin` put it into an application of yours.  Importing this starts
nothing and loads nothing: each name is fetched when it is first used.  The engine's names are those of its face,
`interlock.engine`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.api.app import InterlockApp as InterlockApp
    from interlock.api.app import asgi as asgi
    from interlock.api.plugin import InterlockPlugin as InterlockPlugin
    from interlock.api.runtime import UserOf as UserOf
    from interlock.api.settings import Settings as Settings
    from interlock.api.settings import load_settings as load_settings
    from interlock.engine import *  # noqa: F403

_OF_THE_API = {
    "InterlockApp": "interlock.api.app",
    "asgi": "interlock.api.app",
    "InterlockPlugin": "interlock.api.plugin",
    "UserOf": "interlock.api.runtime",
    "Settings": "interlock.api.settings",
    "load_settings": "interlock.api.settings",
}


def __getattr__(name: str) -> Any:
    if name in ("api", "engine"):
        return import_module(f"interlock.{name}")
    if name in _OF_THE_API:
        value = getattr(import_module(_OF_THE_API[name]), name)
    elif name == "__all__":
        value = sorted({*_OF_THE_API, *import_module("interlock.engine").__all__})
    elif not name.startswith("_") and name in import_module("interlock.engine").__all__:
        value = getattr(import_module("interlock.engine"), name)
    else:
        raise AttributeError(f"module 'interlock' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
