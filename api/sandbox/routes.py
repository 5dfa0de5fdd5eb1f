"""The API as a table, what `expand[]` adds, and the rules of time: all collected from the files of objects/."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

from interlock.api.sandbox import objects
from interlock.api.sandbox.core.errors import NOTHING
from interlock.api.sandbox.core.resource import Include, Route
from interlock.api.sandbox.core.rules import Rule

MODULES: tuple[ModuleType, ...] = tuple(
    importlib.import_module(f"{objects.__name__}.{file.name}") for file in pkgutil.iter_modules(objects.__path__)
)
"""Every file of objects/, by name: what it says of itself in `ROUTES`, `INCLUDES` and `RULES` is added here."""


def _rules() -> dict[str, tuple[Rule, ...]]:
    rules: dict[str, tuple[Rule, ...]] = {}
    for module in MODULES:
        for kind, more in getattr(module, "RULES", NOTHING).items():
            rules[kind] = rules.get(kind, ()) + more
    return rules


ROUTES: tuple[Route, ...] = tuple(
    row._replace(path=row.path if row.path.startswith("/v2/") else f"/v1/{row.path}")
    for module in MODULES
    for row in getattr(module, "ROUTES", ())
)
INCLUDES: dict[tuple[str, str], Include] = {
    key: include for module in MODULES for key, include in getattr(module, "INCLUDES", NOTHING).items()
}
"""What `expand[]` puts in beside the fields that hold an id: (kind, field) → what is put there."""
RULES = _rules()
"""What time does, by the kind of object."""
_PATTERNS = [
    (route, re.compile("^" + route.path.replace("*", "([^/]+)") + "$"))
    for route in sorted(ROUTES, key=lambda route: route.path.count("*"))
]  # an exact path before the pattern that would match it too


def find_route(method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
    """The route of a call, and the ids in its path."""
    for route, pattern in _PATTERNS:
        if route.method == method and (match := pattern.match(path)):
            return route, match.groups()
    return None, ()
