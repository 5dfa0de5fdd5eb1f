"""Meters and the events that they count."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource


def create_meter(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meters"""
    require(p, "display_name", "event_name", "default_aggregation")
    if any(m["event_name"] == p["event_name"] and m["status"] == "active" for m in w.all("billing.meter")):
        raise invalid("An active meter with this event name already exists.", "event_name")
    mapping = {"type": "by_id", "event_payload_key": "stripe_customer_id"}
    meter = w.new(
        "billing.meter", "mtr_", p, ("default_aggregation", "display_name", "event_name", "event_time_window"),
        customer_mapping=p.get("customer_mapping") or mapping, status="active",
        status_transitions={"deactivated_at": None}, updated=w.now,
        value_settings=p.get("value_settings") or {"event_payload_key": "value"},
    )  # fmt: skip
    w.put(meter)
    w.emit("billing.meter.created", meter)
    return meter


def create_meter_event(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meter_events"""
    require(p, "event_name", "payload")
    identifier = p.get("identifier") or w.new_id("")
    if w.find("billing.meter_event", identifier):
        raise invalid(f"An event already exists with identifier {identifier}.", "identifier")
    if not any(m["event_name"] == p["event_name"] for m in w.all("billing.meter")):
        raise invalid(f"No active meter found for event name {p['event_name']}.", "event_name")
    event = w.new("billing.meter_event", "", p, ("event_name", "payload"), id=identifier, identifier=identifier,
                  timestamp=p.get("timestamp", w.now))  # fmt: skip
    w.put(event)
    return {key: value for key, value in event.items() if key != "id"}


METERS = Resource("billing.meter", "billing/meters", create_meter, filters=("status",))
ROUTES = METERS.routes(("POST", "billing/meter_events", "billing.meter_event_create", create_meter_event))
