"""Meter events that turn out wrong when they are processed: told in a thin event for each meter, with samples."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects import thin_events

VALIDATED_AFTER = 10
SAMPLES = 10


def _reported_at(_w: Ledger, error: Obj) -> int:
    return int(error["at"]) + VALIDATED_AFTER


def _report(w: Ledger, error: Obj) -> None:
    """One report of all that is wrong with this meter's events by now; not every identifier is in it."""
    meter = error["meter"]
    codes: dict[str, list[Obj]] = {}
    count = 0
    for each in [each for each in w.all("meter_error") if each["meter"] == meter]:
        count += 1
        sample = {"error_message": each["message"], "request": {"identifier": each["identifier"]}}
        codes.setdefault(str(each["code"]), []).append(sample)
        w.replace(each, {"id": each["id"], "object": "meter_error", "deleted": True})
    types = [{"code": code, "error_count": len(found), "sample_errors": found[:SAMPLES]}
             for code, found in codes.items()]  # fmt: skip
    data: Obj = {
        "developer_message_summary": f"There {'is 1 invalid event' if count == 1 else f'are {count} invalid events'}",
        "reason": {"error_count": count, "error_types": types},
        "validation_start": thin_events.iso(w.time - VALIDATED_AFTER), "validation_end": thin_events.iso(w.time),
    }  # fmt: skip
    if meter is None:
        thin_events.tell(w, "v1.billing.meter.no_meter_found", data, None)
        return
    related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"}
    thin_events.tell(w, "v1.billing.meter.error_report_triggered", data, related)


RULES: dict[str, tuple[Rule, ...]] = {
    "meter_error": (Rule("meter errors are reported", one(None), _reported_at, _report),)
}
