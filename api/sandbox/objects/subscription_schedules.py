"""Subscription schedules: what a subscription is to become, and when.  Their phases are in schedule_phases.py.

The words of the refusals are Stripe's, from reports of the real API, but those of a schedule that is over.
"""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.forms import cleared, merge_metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import in_range
from interlock.api.sandbox.core.periods import DAY, earliest_end
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects import renewals, schedule_phases, subscription_changes
from interlock.api.sandbox.objects.schedule_state import close
from interlock.api.sandbox.objects.subscriptions import BY_SCHEDULE, ENDED, open_subscription

EXPIRES_WITHIN = 7 * DAY
OPEN = ("not_started", "active")


# -- create ----------------------------------------------------------------------------------------


def create_schedule(w: Ledger, p: Obj) -> Obj:
    """POST /v1/subscription_schedules: from a subscription alone, or of phases."""
    if p.get("from_subscription"):
        return _take_over(w, p)
    if not p.get("customer"):
        raise missing("customer")
    customer = w.of("customer", p["customer"], "customer")
    if not p.get("phases"):
        raise missing("phases")
    _behavior(p)
    start: Any = p.get("start_date", "now")
    phases = schedule_phases.made(w, p["phases"], w.now if start == "now" else int(start))
    schedule = _new(w, customer, phases, p)
    w.emit("subscription_schedule.created", schedule)
    if phases[0]["start_date"] <= w.now:
        _begin(w, schedule)
    return schedule


def _take_over(w: Ledger, p: Obj) -> Obj:
    for name in p:
        if name != "from_subscription":
            raise invalid(f"You cannot set `{name}` if `from_subscription` is set.", name)
    sub = w.of("subscription", p["from_subscription"], "from_subscription")
    if sub["schedule"]:
        raise invalid("You cannot migrate a subscription that is already attached to a schedule: "
                      f"`{sub['schedule']}`.", "from_subscription")  # fmt: skip
    if sub["status"] in ENDED:
        raise invalid(f"You cannot migrate a subscription that is `{sub['status']}`.", "from_subscription")
    phase = schedule_phases.phase_of(sub)
    schedule = _new(w, w.get("customer", sub["customer"]), [phase], {
        "end_behavior": "cancel" if sub["cancel_at"] else "release", "billing_mode": sub["billing_mode"],
        "default_settings": {key: sub[key] for key in schedule_phases.COPIED},
    })  # fmt: skip
    _attach(w, schedule, sub, phase)
    w.emit("subscription_schedule.created", schedule)
    w.emit("customer.subscription.updated", sub)
    return schedule


def _behavior(p: Obj) -> None:
    if p.get("end_behavior") in ("none", "renew") or p.get("pause_schedules"):
        name = "pause_schedules" if p.get("pause_schedules") else "end_behavior"
        raise invalid(f"Stripe knows {name}={p[name]}, but the sandbox does not have it.", name)


def _new(w: Ledger, customer: Obj, phases: list[Obj], p: Obj) -> Obj:
    given = cleared(p.get("default_settings"))
    settings: Obj = {
        "application_fee_percent": None, "billing_cycle_anchor": "automatic", "billing_thresholds": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None}, "on_behalf_of": None,
        "collection_method": "charge_automatically", "default_payment_method": None, "description": None,
        "transfer_data": None,
    }  # fmt: skip
    invoicing = dict.fromkeys(("account_tax_ids", "custom_fields", "days_until_due", "description", "footer"))
    invoicing = invoicing | {"issuer": {"type": "self"}} | cleared(given.get("invoice_settings"))
    return w.put(w.new(
        "subscription_schedule", "sub_sched_", p, billing_mode=_billing_mode(p.get("billing_mode")),
        customer=customer["id"], default_settings=settings | given | {"invoice_settings": invoicing},
        end_behavior=p.get("end_behavior", "release"), pause_schedules=[], phases=phases, status="not_started",
        test_clock=customer.get("test_clock"),
    ))  # fmt: skip


def _billing_mode(given: Obj | None) -> Obj:
    mode = (given or NOTHING).get("type", "flexible")
    flexible = {"proration_discounts": "included"} if mode == "flexible" else None
    return {"type": mode, "flexible": flexible}


def _attach(w: Ledger, schedule: Obj, sub: Obj, phase: Obj) -> None:
    w.touch(sub)["schedule"] = schedule["id"]
    schedule |= {"subscription": sub["id"], "status": "active"}
    schedule_phases.point_at(schedule, phase)


def _begin(w: Ledger, schedule: Obj) -> None:
    """The first phase begins: the subscription is made of it."""
    phase: Obj = schedule["phases"][0]
    settings: Obj = schedule["default_settings"]
    given: Obj = {
        "items": [{key: item[key] for key in ("price", "quantity", "metadata") if key in item}
                  for item in phase["items"]],
        "discounts": [{key: value for key, value in each.items() if value} for each in phase["discounts"]],
        "metadata": phase["metadata"], "billing_mode": {"type": schedule["billing_mode"]["type"]},
        "payment_behavior": BY_SCHEDULE,
    }  # fmt: skip
    given |= {key: value for key in schedule_phases.COPIED if (value := phase[key] or settings[key])}
    if given["collection_method"] == "send_invoice":
        days = (phase["invoice_settings"] or settings["invoice_settings"]).get("days_until_due")
        given["days_until_due"] = 30 if days is None else days
    if phase["trial_end"]:
        given["trial_end"] = phase["trial_end"]
    sub = open_subscription(w, w.get("customer", schedule["customer"]), given)
    w.touch(schedule)
    _attach(w, schedule, sub, phase)
    if schedule["end_behavior"] == "cancel" and schedule_phases.following(schedule) is None:
        sub["cancel_at"] = phase["end_date"]
    w.emit("customer.subscription.updated", sub)
    w.emit("subscription_schedule.updated", schedule)


# -- read ------------------------------------------------------------------------------------------


def _wanted(_w: Ledger, o: Obj, p: Obj) -> bool:
    """By dates, or those not started; not by subscription, as in Stripe."""
    dates = ("canceled_at", "completed_at", "released_at")
    return (
        (o["test_clock"] is None or "customer" in p)
        and ("scheduled" not in p or (o["status"] == "not_started") == p["scheduled"])
        and all(name not in p or (o[name] is not None and in_range(o[name], p[name])) for name in dates)
    )


# -- change ----------------------------------------------------------------------------------------


def _open(w: Ledger, id_: str, doing: str) -> Obj:
    schedule = w.get("subscription_schedule", id_)
    if schedule["status"] not in OPEN:
        raise invalid(f"You cannot {doing} a subscription schedule with status `{schedule['status']}`.")
    return schedule


def update_schedule(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscription_schedules/:id; `phases` takes the place of the current and the future ones."""
    schedule = w.touch(_open(w, id_, "update"))
    _behavior(p)
    merge_metadata(schedule, p)
    schedule["end_behavior"] = p.get("end_behavior", schedule["end_behavior"])
    settings = cleared(p.get("default_settings"))
    if invoicing := settings.pop("invoice_settings", None):
        schedule["default_settings"]["invoice_settings"] |= cleared(invoicing)
    schedule["default_settings"] |= settings
    sub = w.find("subscription", schedule["subscription"])
    if p.get("phases"):
        _replace(w, schedule, sub, p)
    if sub is not None:
        last = schedule_phases.following(schedule) is None
        ends = schedule["current_phase"]["end_date"] if schedule["end_behavior"] == "cancel" and last else None
        if ends != sub["cancel_at"]:
            w.touch(sub)["cancel_at"] = ends
        w.emit("customer.subscription.updated", sub)
    w.emit("subscription_schedule.updated", schedule)
    return schedule


def _replace(w: Ledger, schedule: Obj, sub: Obj | None, p: Obj) -> None:
    given: list[Obj] = p["phases"]
    first: Any = given[0].get("start_date")
    if first is None:
        raise invalid("The subscription schedule update is missing at least one phase with a `start_date` to anchor "
                      "end dates to.", "phases")  # fmt: skip
    running = schedule_phases.current(schedule)
    phases = schedule_phases.made(w, given, w.now, sub["currency"] if sub else None)
    if running is None or sub is None:
        schedule["phases"] = phases
        if phases[0]["start_date"] <= w.now:
            _begin(w, schedule)
        return
    past = [each for each in schedule["phases"] if each["end_date"] <= running["start_date"]]
    phases = [each for each in phases if each["start_date"] >= running["start_date"]]
    if not phases or phases[0]["start_date"] != running["start_date"]:
        raise invalid("You can not modify the start date of the current phase.", "phases[0][start_date]")
    now = next((each for each in phases if each["start_date"] <= w.now < each["end_date"]), None)
    if now is None:
        raise invalid("The current phase must not end before now.", "phases")
    schedule["phases"] = past + phases
    if _of_the_subscription(now) != _of_the_subscription(running) or now["start_date"] != running["start_date"]:
        schedule_phases.enter(w, schedule, sub, now, proration=p.get("proration_behavior", "create_prorations"))
    schedule_phases.point_at(schedule, now)
    w.note(schedule["id"]).pop("warned", None)


def _of_the_subscription(phase: Obj) -> Obj:
    return {key: value for key, value in phase.items() if key not in ("start_date", "end_date", "proration_behavior")}


def release_schedule(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscription_schedules/:id/release; a date of cancellation that it set goes with it."""
    schedule = _open(w, id_, "release")
    sub = w.find("subscription", schedule["subscription"])
    w.touch(schedule)["released_subscription"] = schedule["subscription"]
    if sub is not None:
        w.touch(sub)
        if not p.get("preserve_cancel_date"):
            sub |= {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
            sub["cancellation_details"]["reason"] = None
    close(w, schedule, sub, "released")
    if sub is not None:
        w.emit("customer.subscription.updated", sub)
    return schedule


def cancel_schedule(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscription_schedules/:id/cancel: its subscription is canceled at once; both parameters are true
    where they are not given."""
    schedule = w.touch(_open(w, id_, "cancel"))
    sub = w.find("subscription", schedule["subscription"])
    if sub is not None and sub["status"] not in ENDED:
        given = {"invoice_now": p.get("invoice_now", True), "prorate": p.get("prorate", True)}
        subscription_changes.cancel_subscription(w, given, sub["id"])
    else:
        close(w, schedule, sub, "canceled")
    return schedule


# -- by time ---------------------------------------------------------------------------------------


def _starts_at(_w: Ledger, schedule: Obj) -> int:
    return int(schedule["phases"][0]["start_date"])


def _ends_at(_w: Ledger, schedule: Obj) -> int:
    return int(schedule["current_phase"]["end_date"])


def _phase_ends(w: Ledger, schedule: Obj) -> None:
    sub = w.get("subscription", schedule["subscription"])
    if sub["status"] in renewals.BILLED and earliest_end(sub) <= w.now and sub["status"] != "trialing":
        renewals.renew(w, sub)  # enters the phase first: one invoice at the new price
    else:
        schedule_phases.cross(w, sub, w.now)
        w.emit("customer.subscription.updated", sub)


def _warns_at(w: Ledger, schedule: Obj) -> int | None:
    last: Obj = schedule["phases"][-1]
    if w.notes.get(schedule["id"], NOTHING).get("warned") == last["end_date"]:
        return None
    return max(int(last["end_date"]) - EXPIRES_WITHIN, int(schedule["created"]))


def _warn(w: Ledger, schedule: Obj) -> None:
    w.note(schedule["id"])["warned"] = schedule["phases"][-1]["end_date"]
    w.emit("subscription_schedule.expiring", schedule)


RULES: dict[str, tuple[Rule, ...]] = {"subscription_schedule": (
    Rule("schedule starts", one("not_started"), _starts_at, _begin),
    Rule("schedule expires soon", one("active"), _warns_at, _warn),
    Rule("schedule's phase ends", one("active"), _ends_at, _phase_ends),
)}  # fmt: skip
SCHEDULES = Resource(
    "subscription_schedule", "subscription_schedules", create_schedule, filters=("customer",), where=_wanted
)
ROUTES = SCHEDULES.routes(
    ("POST", "subscription_schedules/*", "subscription_schedule_update", update_schedule),
    ("POST", "subscription_schedules/*/release", "subscription_schedule_release", release_schedule),
    ("POST", "subscription_schedules/*/cancel", "subscription_schedule_cancel", cancel_schedule),
)
