"""Thin events (v2): what happened to which object, without the object; fetched whole at /v2/core/events."""

from __future__ import annotations

import datetime as dt

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, no_such
from interlock.api.sandbox.core.ledger import EVENTS_KEPT, Ledger
from interlock.api.sandbox.core.resource import Route

KIND = "v2.core.event"
TYPES_MAX = 20


def iso(moment: int) -> str:
    """A moment as v2 writes it."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def moment_of(text: str, param: str) -> int:
    """A moment as v2 reads it."""
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"Invalid {param}: must be an RFC 3339 timestamp.", param) from None
    return int(read.replace(tzinfo=read.tzinfo or dt.UTC).timestamp())


def tell(w: Ledger, type_: str, data: Obj, related: Obj | None) -> None:
    """Emit one, to the destinations that want it."""
    w.put({
        "id": w.new_id("evt_test_"), "object": KIND, "type": type_, "at": w.time, "data": data, "related": related,
        "pending_webhooks": 0,
    })  # fmt: skip


def notification(event: Obj) -> Obj:
    """What a destination is sent."""
    related = event["related"]
    return {
        "id": event["id"], "object": KIND, "type": event["type"], "created": iso(event["at"]), "livemode": False,
        "context": None, "reason": None,
    } | ({"related_object": related} if related else {})  # fmt: skip


def _whole(event: Obj) -> Obj:
    return notification(event) | {"data": event["data"]}


def get_event(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v2/core/events/:id"""
    event = w.get(KIND, id_)
    if event["at"] <= w.time - EVENTS_KEPT:
        raise no_such("event", id_)
    return _whole(event)


def list_events(w: Ledger, p: Obj) -> Obj:
    """GET /v2/core/events: 30 days, newest first, by type, object and time."""
    types = p.get("types")
    if types is not None and len(types) > TYPES_MAX:
        raise invalid("You may pass up to 20 event types.", "types")
    given: Obj = p.get("created") or NOTHING
    bounds = {name: moment_of(str(text), f"created[{name}]") for name, text in given.items()}
    found = [
        event for event in reversed(w.all(KIND))
        if event["at"] > w.time - EVENTS_KEPT and (types is None or event["type"] in types)
        and ("object_id" not in p or (event["related"] or {"id": None})["id"] == p["object_id"])
        and event["at"] >= bounds.get("gte", 0) and event["at"] > bounds.get("gt", -1)
        and event["at"] <= bounds.get("lte", event["at"]) and event["at"] < bounds.get("lt", event["at"] + 1)
    ]  # fmt: skip
    return {"data": [_whole(event) for event in found[: int(p.get("limit", 20))]], "next_page_url": None,
            "previous_page_url": None}  # fmt: skip


ROUTES = (
    Route("GET", "/v2/core/events", "v2.core.event_list", list_events),
    Route("GET", "/v2/core/events/*", None, get_event),
)
