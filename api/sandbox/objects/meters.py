"""Meters: what is counted, and how."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Handler, Resource


def create_meter(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/meters"""
    require(p, "display_name", "event_name", "default_aggregation")
    _one_of_its_name(w, p["event_name"])
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


def _change(_w: Ledger, meter: Obj, _p: Obj) -> None:
    """Only the name can change, and not to nothing."""
    if not meter["display_name"]:
        raise invalid("A meter's display_name can't be unset.", "display_name", "parameter_invalid_empty")


def _turn(status: str) -> Handler:
    """POST …/deactivate and …/reactivate"""

    def turn(w: Ledger, _p: Obj, id_: str) -> Obj:
        meter = w.touch(w.get("billing.meter", id_))
        if meter["status"] == status:
            raise invalid(f"This meter is already {status}.")
        if status == "active":
            _one_of_its_name(w, meter["event_name"])
        meter |= {"status": status, "updated": w.now}
        meter["status_transitions"]["deactivated_at"] = None if status == "active" else w.now
        w.emit(f"billing.meter.{'reactivated' if status == 'active' else 'deactivated'}", meter)
        return meter

    return turn


def _one_of_its_name(w: Ledger, name: str) -> None:
    if any(m["event_name"] == name and m["status"] == "active" for m in w.all("billing.meter")):
        raise invalid("An active meter with this event name already exists.", "event_name")


METERS = Resource("billing.meter", "billing/meters", create_meter, ("display_name",), _change, filters=("status",),
                  events="billing.meter")  # fmt: skip
ROUTES = METERS.routes(
    ("POST", "billing/meters/*/deactivate", "billing.meter_deactivate", _turn("inactive")),
    ("POST", "billing/meters/*/reactivate", "billing.meter_reactivate", _turn("active")),
)
