"""What every resource does with its parameters: required ones, plain fields, metadata."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, missing

LABELS_MAX = 50  # metadata keys of one object


def require(p: Obj, *names: str) -> None:
    """Refuse when a required parameter is not there."""
    for name in names:
        if p.get(name) in (None, "", []):
            raise missing(name)


def merge_metadata(obj: Obj, p: Obj) -> None:
    """Keys are added or replaced; an empty value takes one away, an empty hash all."""
    if "metadata" not in p:
        return
    if p["metadata"] in ("", None):
        obj["metadata"] = {}
        return
    merged = dict(obj.get("metadata") or NOTHING) | p["metadata"]
    obj["metadata"] = {key: value for key, value in merged.items() if value != ""}
    if len(obj["metadata"]) > LABELS_MAX:
        raise invalid(f"You can only have {LABELS_MAX} metadata keys on an object.", "metadata")


def assign(obj: Obj, p: Obj, *names: str) -> None:
    """Plain fields: given values are taken, an empty string unsets (a list is empty then)."""
    for name in names:
        if name in p:
            nothing: Any = [] if isinstance(obj.get(name), list) else None
            obj[name] = nothing if p[name] == "" else p[name]


def cleared(given: Obj | None) -> Obj:
    """The fields of a hash, with null for each that is unset by an empty string."""
    return {name: None if value == "" else value for name, value in (given or NOTHING).items()}


def metadata(p: Obj) -> Obj:
    """The metadata of something new."""
    return {key: value for key, value in (p.get("metadata") or NOTHING).items() if value != ""}
