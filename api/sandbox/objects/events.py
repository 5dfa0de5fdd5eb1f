"""Events as a resource: kept for 30 days."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid, no_such
from interlock.api.sandbox.core.ledger import EVENTS_KEPT, Ledger
from interlock.api.sandbox.core.lists import in_range, paged
from interlock.api.sandbox.core.resource import Route

TYPES_MAX = 20


def get_event(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/events/:id; kept for 30 days."""
    event = w.get("event", id_)
    if event["created"] <= w.time - EVENTS_KEPT:
        raise no_such("event", id_)
    return event


def list_events(w: Ledger, p: Obj) -> Obj:
    """GET /v1/events"""
    types = p.get("types")
    if types is not None and len(types) > TYPES_MAX:
        raise invalid("You may pass up to 20 event types.", "types")
    if types is not None and "type" in p:
        raise invalid("You may pass only one of type and types.", "types")
    exact = p.get("type", "*")

    def typed(o: Obj) -> bool:
        if types is not None:
            return o["type"] in types
        return exact == "*" or o["type"] == exact or (exact.endswith(".*") and o["type"].startswith(exact[:-1]))

    found = [o for o in reversed(w.all("event")) if typed(o)
             and o["created"] > w.time - EVENTS_KEPT and in_range(o["created"], p.get("created"))
             and ("delivery_success" not in p or (o["pending_webhooks"] == 0) == p["delivery_success"])]  # fmt: skip
    return paged(found, p, "/v1/events")


ROUTES = (Route("GET", "events", "event_list", list_events), Route("GET", "events/*", "event_retrieve", get_event))
