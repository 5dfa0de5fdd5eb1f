"""How a subscription schedule ends."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger

STATUS = {"aborted": "canceled"}
"""The events' names are the statuses, but there is no status of an aborted schedule."""


def close(w: Ledger, schedule: Obj, sub: Obj | None, how: str) -> None:
    """completed, released, canceled or aborted: it manages nothing any more."""
    status = STATUS.get(how, how)
    w.touch(schedule)
    schedule |= {"status": status, f"{status}_at": w.now, "current_phase": None}
    if how == "released":
        schedule["subscription"] = None
    if sub is not None:
        w.touch(sub)["schedule"] = None
    w.emit(f"subscription_schedule.{how}", schedule)


def close_with(w: Ledger, sub: Obj, how: str) -> None:
    """The subscription ended, and with it the schedule that managed it."""
    schedule = w.find("subscription_schedule", sub["schedule"])
    if schedule is not None and schedule["status"] == "active":
        close(w, schedule, sub, how)
