"""Test clocks."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.core.resource import Resource


def create_clock(w: Ledger, p: Obj) -> Obj:
    """POST /v1/test_helpers/test_clocks"""
    require(p, "frozen_time")
    clock = w.new(
        "test_helpers.test_clock", "clock_", p, ("frozen_time", "name"), created=w.time,
        deletes_after=w.time + 30 * DAY, status="ready", status_details={},
    )  # fmt: skip
    w.put(clock)
    w.emit("test_helpers.test_clock.created", clock)
    return clock


def advance_clock(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/test_helpers/test_clocks/:id/advance: answered at once, done soon after."""
    require(p, "frozen_time")
    clock = w.touch(w.get("test_helpers.test_clock", id_))
    if clock["status"] != "ready":
        raise invalid("Test clock advancement already underway.", code="test_clock_not_ready")
    if p["frozen_time"] <= clock["frozen_time"]:
        raise invalid("The frozen_time must be after the clock's current frozen_time.", "frozen_time")
    clock |= {"status": "advancing",
              "status_details": {"advancing": {"target_frozen_time": p["frozen_time"]}}}  # fmt: skip
    w.emit("test_helpers.test_clock.advancing", clock)
    return clock


def delete_clock(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/test_helpers/test_clocks/:id, and all that lives on it."""
    clock = w.get("test_helpers.test_clock", id_)
    w.emit("test_helpers.test_clock.deleted", clock)
    w.clock = None
    for kind in ("customer", "subscription", "invoice", "invoiceitem"):
        for obj in w.all(kind):
            if obj.get("test_clock") == id_:
                w.replace(obj, {"id": obj["id"], "object": kind, "deleted": True})
    w.replace(clock, {"id": id_, "object": "test_helpers.test_clock", "deleted": True})
    w.clock = None
    return clock


CLOCKS = Resource("test_helpers.test_clock", "test_helpers/test_clocks", create_clock)
ROUTES = CLOCKS.routes(
    ("DELETE", "test_helpers/test_clocks/*", "test_helpers.test_clock_delete", delete_clock),
    ("POST", "test_helpers/test_clocks/*/advance", "test_helpers.test_clock_advance", advance_clock),
)
