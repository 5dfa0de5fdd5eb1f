"""Event destinations (v2): webhook endpoints that are sent thin events."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects.thin_events import iso
from interlock.api.sandbox.objects.webhook_endpoints import create_endpoint


def create_destination(w: Ledger, p: Obj) -> Obj:
    """POST /v2/core/event_destinations; the secret is shown in this answer alone, and only where it is asked for."""
    require(p, "name", "type", "event_payload", "enabled_events")
    if p["type"] != "webhook_endpoint" or p["event_payload"] != "thin":
        raise invalid("The sandbox has event destinations of type webhook_endpoint with thin payloads only.", "type")
    url = (p.get("webhook_endpoint") or NOTHING).get("url") or ""
    made = create_endpoint(w, {"url": url, "enabled_events": p["enabled_events"], "description": p.get("description")})
    endpoint = w.get("webhook_endpoint", made["id"])
    w.note(endpoint["id"]).update({"thin": True, "name": p["name"], "metadata": p.get("metadata") or {}})
    shown = _shown(w, endpoint)
    if "webhook_endpoint.signing_secret" in (p.get("include") or ()):
        shown["webhook_endpoint"]["signing_secret"] = made["secret"]
    return shown


def _shown(w: Ledger, endpoint: Obj) -> Obj:
    note = w.notes[endpoint["id"]]
    return {
        "id": endpoint["id"], "object": "v2.core.event_destination", "amazon_eventbridge": None,
        "azure_event_grid": None, "created": iso(endpoint["created"]), "description": endpoint["description"] or "",
        "enabled_events": endpoint["enabled_events"], "event_payload": "thin", "events_from": ["@self"],
        "livemode": False, "metadata": note["metadata"], "name": note["name"], "snapshot_api_version": None,
        "status": endpoint["status"], "status_details": None, "type": "webhook_endpoint",
        "updated": iso(endpoint["created"]), "webhook_endpoint": {"signing_secret": None, "url": endpoint["url"]},
    }  # fmt: skip


def get_destination(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v2/core/event_destinations/:id"""
    return _shown(w, w.get("webhook_endpoint", id_))


def list_destinations(w: Ledger, _p: Obj) -> Obj:
    """GET /v2/core/event_destinations"""
    thin = [each for each in w.all("webhook_endpoint") if w.notes[each["id"]].get("thin")]
    return {"data": [_shown(w, each) for each in reversed(thin)], "next_page_url": None, "previous_page_url": None}


def delete_destination(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v2/core/event_destinations/:id"""
    w.forget("webhook_endpoint", w.get("webhook_endpoint", id_))
    return {"id": id_, "object": "v2.core.event_destination", "deleted": True}


ROUTES = (
    Route("POST", "/v2/core/event_destinations", "v2.core.event_destination_create", create_destination),
    Route("GET", "/v2/core/event_destinations", None, list_destinations),
    Route("GET", "/v2/core/event_destinations/*", None, get_destination),
    Route("DELETE", "/v2/core/event_destinations/*", None, delete_destination),
)
