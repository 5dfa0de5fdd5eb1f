"""Meter events: taken or refused at once, counted later; the same identifier is refused for a day, then forgotten.

Refused at once: no active meter, an identifier that is known, a time out of bounds.  What else is wrong with an event
is found when it is processed, and told in a thin event (`meter_errors`).
"""

from __future__ import annotations

import re

from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid, missing
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.core.resource import Route

KNOWN_FOR = DAY
CANCELED_WITHIN = DAY
OLDEST, LATEST = 35 * DAY, 5 * 60
IDENTIFIER_MAX = 100
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+")
DIGITS_MAX = 15


def create_meter_event(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meter_events"""
    require(p, "event_name", "payload")
    at = int(p.get("timestamp", w.now))
    identifier = p.get("identifier") or w.new_id("mtrevt_")
    take(w, str(p["event_name"]), p["payload"], str(identifier), at)
    return {"object": "billing.meter_event", "created": w.now, "event_name": p["event_name"], "identifier": identifier,
            "livemode": False, "payload": p["payload"], "timestamp": at}  # fmt: skip


def take(w: Ledger, name: str, payload: Obj, identifier: str, at: int) -> None:
    """Keep one event, or refuse it as is done at once."""
    meter = next((m for m in w.all("billing.meter") if m["event_name"] == name and m["status"] == "active"), None)
    if meter is None:
        raise invalid(f'No active meter found for event name "{name}".', "event_name")
    customer = str(payload.get(meter["customer_mapping"]["event_payload_key"], ""))
    if found := w.find("customer", customer):
        w.get("customer", found["id"])  # a customer on a test clock has its time
    if len(identifier) > IDENTIFIER_MAX:
        raise invalid(f"Invalid string: identifier must be at most {IDENTIFIER_MAX} characters", "identifier")
    known = w.notes.get(f"identifier {identifier}")
    if known is not None and known["at"] > w.time - KNOWN_FOR:
        raise StripeError(400, f"An event already exists with identifier {identifier}.",
                          headers={"stripe-should-retry": "false"})  # fmt: skip
    check_time(w, at)
    w.note(f"identifier {identifier}").update({"at": w.time})
    value = payload.get(meter["value_settings"]["event_payload_key"])
    error = problem(w, meter, customer, value)
    if error is not None:
        wrong(w, meter["id"], error, identifier)
        return
    w.note(f"identifier {identifier}")["value"] = w.put({
        "id": w.new_id("mtrval_"), "object": "meter_value", "meter": meter["id"], "customer": customer, "at": at,
        "received": w.now, "value": "1" if value is None else str(value), "canceled": False,
    })["id"]  # fmt: skip


def wrong(w: Ledger, meter: str | None, error: tuple[str, str], identifier: str) -> None:
    """Note what is found wrong with an event, to be reported."""
    w.put({"id": w.new_id("mtrerr_"), "object": "meter_error", "meter": meter, "code": error[0], "message": error[1],
           "identifier": identifier, "at": w.time})  # fmt: skip


def check_time(w: Ledger, at: int) -> None:
    """At most 35 days ago, at most 5 minutes ahead."""
    if at < w.now - OLDEST:
        raise invalid("The timestamp must be within the past 35 calendar days.", "timestamp",
                      "timestamp_too_far_in_past")  # fmt: skip
    if at > w.now + LATEST:
        raise invalid("The timestamp must be no more than 5 minutes in the future.", "timestamp",
                      "timestamp_in_future")  # fmt: skip


def problem(w: Ledger, meter: Obj, customer: str, value: str | None) -> tuple[str, str] | None:
    """What is found wrong with an event when it is processed: its code and Stripe's word for it."""
    key = meter["value_settings"]["event_payload_key"]
    if not customer:
        return "meter_event_no_customer_defined", "No customer mapping key provided."
    if (w.find("customer", customer) or {"deleted": True}).get("deleted"):
        return "meter_event_customer_not_found", f"Customer not found: {customer}"
    if value is None and meter["default_aggregation"]["formula"] != "count":
        return "meter_event_value_not_found", f"No value found for key: {key}"
    if value is not None and not _NUMBER.fullmatch(str(value)):
        return "meter_event_invalid_value", f"Invalid value: {value}"
    if value is not None and len(str(value).replace("-", "").replace(".", "")) > DIGITS_MAX:
        return "meter_event_value_too_many_digits", f"The value has too many digits: {value}"
    return None


def create_adjustment(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meter_event_adjustments: an event of the last 24 hours does not count after all."""
    require(p, "event_name", "type")
    identifier = (p.get("cancel") or NOTHING).get("identifier")
    if not identifier:
        raise missing("cancel[identifier]")
    cancel(w, str(p["event_name"]), str(identifier))
    return {"object": "billing.meter_event_adjustment", "cancel": {"identifier": identifier},
            "event_name": p["event_name"], "livemode": False, "status": "pending", "type": "cancel"}  # fmt: skip


def cancel(w: Ledger, name: str, identifier: str) -> None:
    """Cancel by identifier."""
    known = w.notes.get(f"identifier {identifier}")
    value = w.find("meter_value", known.get("value")) if known else None
    meter = w.find("billing.meter", value["meter"]) if value else None
    if known is None or value is None or meter is None or meter["event_name"] != name:
        raise invalid(f"No meter event found with identifier {identifier}.", "cancel[identifier]", "resource_missing")
    if known["at"] <= w.time - CANCELED_WITHIN:
        raise invalid("A meter event can be canceled only within 24 hours of being received.", "cancel[identifier]")
    w.touch(value)["canceled"] = True


ROUTES = (
    Route("POST", "billing/meter_events", "billing.meter_event_create", create_meter_event),
    Route("POST", "billing/meter_event_adjustments", "billing.meter_event_adjustment_create", create_adjustment),
)
