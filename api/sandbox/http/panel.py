"""The control panel: where the person at the sandbox turns the clock and makes trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from interlock.api.sandbox.core.cards import SWITCHED
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.outbox import KINDS
from interlock.api.sandbox.core.periods import DAY, HOUR
from interlock.api.sandbox.core.permissions import PERMISSIONS
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.objects import collection
from interlock.api.sandbox.objects.subscriptions import ENDED

# Past a period's or a trial's end the draft waits its hour, and only then money is asked for.
AFTER_THE_HOUR = HOUR + 5
ADVANCE_MAX = 2 * 366 * DAY


def state(box: RunningWorld) -> Obj:
    """All that the panel shows."""
    world = box.world
    return {
        "now": int(box.clock.now()), "offset": box.clock.offset, "account": world.account,
        "mischief": world.outbox.mischief, "timers": world.timers(),
        "pending_deliveries": len(world.outbox.pending), "faults": box.faults.view(), "plans": box.plans,
    }  # fmt: skip


def customer_of(w: Ledger, given: Obj) -> Obj:
    """The customer that a panel's request names, by id or by the product's own user id."""
    if name := given.get("customer"):
        return w.get("customer", str(name), "customer")
    user = given.get("user_id")
    for customer in reversed(w.all("customer")):
        if user is None or (customer["metadata"] or NOTHING).get("user_id") == user:
            return customer
    for sub in reversed(w.all("subscription")):
        if sub["metadata"].get("user_id") == user:
            return w.get("customer", sub["customer"])
    for session in reversed(w.all("checkout.session")):
        if session["client_reference_id"] == user and session["customer"]:
            return w.get("customer", session["customer"])
    raise StripeError(404, f"No customer of user {user!r} yet.", code="resource_missing", param="user_id")


def subscription_of(w: Ledger, given: Obj) -> Obj:
    """The newest living subscription that is meant."""
    if name := given.get("subscription"):
        return w.get("subscription", str(name), "subscription")
    customer = customer_of(w, given) if given.get("user_id") or given.get("customer") else None
    for sub in reversed(w.all("subscription")):
        if sub["status"] not in ENDED and (customer is None or sub["customer"] == customer["id"]):
            return sub
    raise StripeError(404, "No living subscription.", code="resource_missing", param="subscription")


def target(box: RunningWorld, given: Obj) -> float:
    """Where the clock is to go."""
    now = box.clock.now()
    if "seconds" in given:
        seconds: Any = given["seconds"]
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= ADVANCE_MAX:
            raise invalid(f"seconds is a number from 0 to {ADVANCE_MAX}.", "seconds")
        return now + float(seconds)
    to = given.get("to")
    sub = subscription_of(box.world, given)
    if to == "trial_end" and sub["trial_end"]:
        return float(sub["trial_end"]) + AFTER_THE_HOUR
    if to == "period_end":
        ends = [int(item["current_period_end"]) for item in sub["items"]["data"]]
        return float(min(ends)) + AFTER_THE_HOUR
    raise invalid("Give seconds, or to: trial_end or period_end of a subscription that has it.", "to")


def _one_of(words: Iterable[str], given: Any, name: str) -> str:
    if not isinstance(given, str) or given not in words:
        raise invalid(f"{name} is one of {', '.join(words)}.", name)
    return given


def next_payment(w: Ledger, given: Obj) -> Obj:
    """How the customer's default card behaves from now on; a new card behaves as printed on it."""
    outcome = _one_of(SWITCHED, given.get("outcome"), "outcome")
    customer = customer_of(w, given)
    methods = {(customer["invoice_settings"] or NOTHING).get("default_payment_method"), customer["default_source"]}
    methods |= {s["default_payment_method"] for s in w.all("subscription")
                if s.get("customer") == customer["id"]}  # fmt: skip
    found = sorted(m for m in methods if m)
    for method in found:
        w.note(method)["switch"] = SWITCHED[outcome]
    return {"customer": customer["id"], "outcome": outcome, "payment_methods": found}


def set_account(w: Ledger, given: Obj) -> Obj:
    """The account's billing settings."""
    if "retries_end" in given:
        w.account["retries_end"] = _one_of(collection.RETRIES_END, given["retries_end"], "retries_end")
    if "denied" in given:
        denied: Any = given["denied"]
        if not isinstance(denied, list):
            raise invalid("denied is a list of permissions.", "denied")
        w.account["denied"] = [_one_of(sorted(PERMISSIONS), each, "denied") for each in cast("list[Any]", denied)]
    if "meter_lag" in given:
        lag: Any = given["meter_lag"]
        if type(lag) is not int or not 0 <= lag <= DAY:
            raise invalid(f"meter_lag is a number of seconds from 0 to {DAY}.", "meter_lag")
        w.account["meter_lag"] = lag
    for name in ("first_failure_pause", "retries", "auto_resume", "portal_saved", "limits"):
        if name in given:
            w.account[name] = bool(given[name])
    return w.account


def set_mischief(box: RunningWorld, given: Obj) -> Obj:
    """How deliveries misbehave."""
    for kind in KINDS:
        value: Any = given.get(kind, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise invalid(f"{kind} is a probability from 0 to 1.", kind)
    return box.world.outbox.set_mischief(given)


def resend(box: RunningWorld, given: Obj) -> Obj:
    """Send an event again, to each endpoint that takes it."""
    event = box.world.get("event", str(given.get("event")), "event")
    endpoints = [e["id"] for e in box.world.all("webhook_endpoint") if e["status"] == "enabled"]
    for endpoint in endpoints:
        box.world.outbox.resend(event["id"], endpoint, box.clock.now())
    return {"event": event["id"], "endpoints": endpoints}


def set_faults(box: RunningWorld, given: Obj) -> Obj:
    """One more fault, or none at all."""
    if given.get("clear"):
        box.faults.clear()
    else:
        box.faults.add(given)
    return {"faults": box.faults.view()}


CLICKS: dict[str, Callable[[Ledger, Obj], Obj]] = {"next_payment": next_payment, "account": set_account}
LEVERS: dict[str, Callable[[RunningWorld, Obj], Obj]] = {"mischief": set_mischief, "faults": set_faults}
