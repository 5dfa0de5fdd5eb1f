"""Meter events in v2: one at a time, checked as v1 does, and the stream, where all that is wrong is told later."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects import meter_events
from interlock.api.sandbox.objects.thin_events import iso, moment_of

SESSION_FOR = 15 * 60
EVENTS_MAX = 100


def create_event(w: Ledger, p: Obj) -> Obj:
    """POST /v2/billing/meter_events"""
    require(p, "event_name", "payload")
    at = moment_of(p["timestamp"], "timestamp") if p.get("timestamp") else w.now
    identifier = str(p.get("identifier") or w.new_id("mtrevt_"))
    meter_events.take(w, str(p["event_name"]), p["payload"], identifier, at)
    return {"object": "v2.billing.meter_event", "created": iso(w.now), "event_name": p["event_name"],
            "identifier": identifier, "livemode": False, "payload": p["payload"], "timestamp": iso(at)}  # fmt: skip


def create_adjustment(w: Ledger, p: Obj) -> Obj:
    """POST /v2/billing/meter_event_adjustments"""
    require(p, "event_name", "type", "cancel")
    identifier = str(p["cancel"]["identifier"])
    meter_events.cancel(w, str(p["event_name"]), identifier)
    return {"id": w.new_id("mtrevtadj_"), "object": "v2.billing.meter_event_adjustment",
            "cancel": {"identifier": identifier}, "created": iso(w.now), "event_name": p["event_name"],
            "livemode": False, "status": "pending", "type": "cancel"}  # fmt: skip


def create_session(w: Ledger, _p: Obj) -> Obj:
    """POST /v2/billing/meter_event_session: a token for the stream, good for 15 minutes."""
    token = w.new_id("sk_test_stream_")
    w.note(f"stream {token}")["until"] = w.time + SESSION_FOR
    return {"id": w.new_id("mes_"), "object": "v2.billing.meter_event_session", "authentication_token": token,
            "created": iso(w.time), "expires_at": iso(w.time + SESSION_FOR), "livemode": False}  # fmt: skip


def stream(w: Ledger, p: Obj) -> Obj:
    """POST /v2/billing/meter_event_stream: taken as it is."""
    if w.notes.get(f"stream {w.key}", NOTHING).get("until", 0) <= w.time:
        raise StripeError(401, "The meter event session has expired or does not exist.",
                          code="billing_meter_event_session_expired")  # fmt: skip
    require(p, "events")
    if len(p["events"]) > EVENTS_MAX:
        raise invalid(f"You may send up to {EVENTS_MAX} events.", "events")
    for each in p["events"]:
        _take(w, each)
    return {}


def _take(w: Ledger, each: Obj) -> None:
    """One of the stream: a duplicate is dropped, what else is refused in v1 is reported."""
    at = moment_of(each["timestamp"], "timestamp") if each.get("timestamp") else w.now
    identifier = str(each.get("identifier") or w.new_id("mtrevt_"))
    try:
        meter_events.take(w, str(each["event_name"]), each["payload"], identifier, at)
    except StripeError as error:
        if "already exists" in str(error):
            return
        code = error.error.get("code") or "no_meter"
        meter = next((m["id"] for m in w.all("billing.meter") if m["event_name"] == each["event_name"]), None)
        meter_events.wrong(
            w, meter, ("archived_meter" if meter and code == "no_meter" else code, str(error)), identifier
        )


ROUTES = (
    Route("POST", "/v2/billing/meter_events", "v2.billing.meter_event_create", create_event),
    Route("POST", "/v2/billing/meter_event_adjustments", "v2.billing.meter_event_adjustment_create", create_adjustment),
    Route("POST", "/v2/billing/meter_event_session", None, create_session),
    Route("POST", "/v2/billing/meter_event_stream", "v2.billing.meter_event_stream_create", stream),
)
