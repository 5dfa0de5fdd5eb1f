"""Meters and the events that they count."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger, same


def create_meter(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meters"""
    require(p, "display_name", "event_name", "default_aggregation")
    if any(m["event_name"] == p["event_name"] and m["status"] == "active" for m in w.all("billing.meter")):
        raise invalid("An active meter with this event name already exists.", "event_name")
    mapping = {"type": "by_id", "event_payload_key": "stripe_customer_id"}
    meter: Obj = {
        "id": w.new_id("mtr_"), "object": "billing.meter", "created": w.now,
        "customer_mapping": p.get("customer_mapping") or mapping,
        "default_aggregation": p["default_aggregation"], "display_name": p["display_name"],
        "event_name": p["event_name"], "event_time_window": p.get("event_time_window"), "livemode": False,
        "status": "active", "status_transitions": {"deactivated_at": None}, "updated": w.now,
        "value_settings": p.get("value_settings") or {"event_payload_key": "value"},
    }  # fmt: skip
    w.put(meter)
    w.emit("billing.meter.created", meter)
    return meter


def list_meters(w: Ledger, p: Obj) -> Obj:
    """GET /v1/billing/meters"""
    return w.page("billing.meter", p, "/v1/billing/meters", lambda o: same(o, p, "status"))


def create_meter_event(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meter_events"""
    require(p, "event_name", "payload")
    identifier = p.get("identifier") or w.new_id("")
    if any(e["identifier"] == identifier for e in w.all("billing.meter_event")):
        raise invalid(f"An event already exists with identifier {identifier}.", "identifier")
    if not any(m["event_name"] == p["event_name"] for m in w.all("billing.meter")):
        raise invalid(f"No active meter found for event name {p['event_name']}.", "event_name")
    event: Obj = {
        "id": identifier, "object": "billing.meter_event", "created": w.now,
        "event_name": p["event_name"], "identifier": identifier, "livemode": False,
        "payload": p["payload"], "timestamp": p.get("timestamp", w.now),
    }  # fmt: skip
    w.put(event)
    return {key: value for key, value in event.items() if key != "id"}
