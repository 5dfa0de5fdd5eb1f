"""Subscription schedules: taken over, changed, driven by the clock, released, canceled, and what they forbid."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.api.sandbox.core.shapes import API_VERSION
from tests.sandbox.bench import DAY, HOUR, Bench, S

Obj = dict[str, Any]
SCHEDULE = "subscription_schedule."


def other_price(bench: Bench, amount: int = 900, **more: Any) -> str:
    """Another monthly price."""
    return str(bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": amount,
                                     "recurring": {"interval": "month"}} | more)["id"])  # fmt: skip


def taken(bench: Bench, sub: Obj) -> Obj:
    """The subscription's new schedule."""
    return bench.post("subscription_schedules", {"from_subscription": sub["id"]})


def now(schedule: Obj, **more: Any) -> Obj:
    """The first phase of a schedule as an update sends it again."""
    phase = schedule["phases"][0]
    items = [{"price": item["price"], "quantity": item["quantity"]} for item in phase["items"]]
    return {"items": items, "start_date": phase["start_date"], "end_date": phase["end_date"]} | more


def downgraded(bench: Bench, sub: Obj, price: str, **more: Any) -> Obj:
    """A schedule that changes the price at the period's end, in the two calls that it takes."""
    schedule = taken(bench, sub)
    later: Obj = {"items": [{"price": price, "quantity": 1}], "duration": {"interval": "month", "interval_count": 1},
                  "proration_behavior": "none"}  # fmt: skip
    return bench.post(f"subscription_schedules/{schedule['id']}",
                      {"end_behavior": "release", "phases": [now(schedule), later | more]})  # fmt: skip


def test_taken_over(bench: Bench) -> None:
    """From a subscription alone: one phase, its billing period; and the subscription says so."""
    bench.post("coupons", {"id": "half", "percent_off": 50, "duration": "forever"})
    sub = bench.subscribe(discounts=[{"coupon": "half"}], metadata={"user_id": "u_1"})
    bench.news()
    schedule = taken(bench, sub)
    (phase,) = schedule["phases"]
    item = sub["items"]["data"][0]
    assert (phase["start_date"], phase["end_date"]) == (item["current_period_start"], item["current_period_end"])
    assert (phase["items"][0]["price"], phase["items"][0]["quantity"]) == (bench.price["id"], 1)
    assert (phase["discounts"][0]["discount"], schedule["metadata"]) == (sub["discounts"][0], {})
    assert (schedule["status"], schedule["end_behavior"], schedule["subscription"]) == ("active", "release", sub["id"])
    shown = bench.get(f"subscriptions/{sub['id']}", {"expand": ["schedule"]})
    assert shown["schedule"] == schedule
    assert bench.told(SCHEDULE, S) == [SCHEDULE + "created", S + "updated"]


def test_refusals_of_create(bench: Bench) -> None:
    """Nothing may stand beside `from_subscription`; one subscription has one schedule; an ended one has none."""
    sub = bench.subscribe()
    given = {"from_subscription": sub["id"], "metadata": {"a": "b"}}
    error = bench.refuse(400, "POST", "subscription_schedules", given)
    assert (error["message"], error["param"]) == (
        "You cannot set `metadata` if `from_subscription` is set.", "metadata")  # fmt: skip
    schedule = taken(bench, sub)
    error = bench.refuse(400, "POST", "subscription_schedules", {"from_subscription": sub["id"]})
    assert error["message"] == (
        f"You cannot migrate a subscription that is already attached to a schedule: `{schedule['id']}`.")  # fmt: skip
    ended = bench.subscribe()
    bench.delete(f"subscriptions/{ended['id']}")
    bench.refuse(400, "POST", "subscription_schedules", {"from_subscription": ended["id"]})
    phases = [{"items": [{"price": bench.price["id"]}], "iterations": 1}]
    given = {"customer": sub["customer"], "phases": phases}
    error = bench.call("POST", "subscription_schedules", given, version=API_VERSION).body["error"]
    assert (error["code"], error["param"]) == ("parameter_unknown", "phases[0][iterations]")
    assert bench.call("POST", "subscription_schedules", given, version="2025-03-31.basil").status == 200


def test_downgrade_at_period_end(bench: Bench) -> None:
    """The next phase begins with the period: one invoice at the new price, no proration; a month later it is over."""
    sub = bench.subscribe()
    end = sub["items"]["data"][0]["current_period_end"]
    schedule = downgraded(bench, sub, other_price(bench))
    assert bench.sub(sub)["items"]["data"][0]["price"]["id"] == bench.price["id"]
    bench.until(end - 1)
    bench.news()
    bench.until(end + HOUR)
    item = bench.sub(sub)["items"]["data"][0]
    assert (item["price"]["unit_amount"], item["current_period_start"], item["id"]) == (
        900, end, sub["items"]["data"][0]["id"])  # fmt: skip
    invoice = bench.latest(sub)
    assert (invoice["billing_reason"], invoice["amount_paid"], len(invoice["lines"]["data"])) == (
        "subscription_cycle", 900, 1)  # fmt: skip
    told = bench.told(SCHEDULE, S)
    assert {SCHEDULE + "updated", S + "updated"} <= set(told)
    bench.news()
    later = bench.get(f"subscription_schedules/{schedule['id']}")
    assert later["current_phase"]["start_date"] == end
    assert bench.sub(sub)["schedule"] == schedule["id"]
    bench.until(later["current_phase"]["end_date"])
    assert bench.get(f"subscription_schedules/{schedule['id']}")["status"] == "completed"
    assert (bench.sub(sub)["schedule"], bench.status(sub)) == (None, "active")
    assert bench.told(SCHEDULE) == [SCHEDULE + "expiring", SCHEDULE + "completed"]


def test_short_last_phase(bench: Bench) -> None:
    """A last phase of a day ends in the middle of a period: the schedule is completed, nothing is billed for that."""
    sub = bench.subscribe()
    end = sub["items"]["data"][0]["current_period_end"]
    price = other_price(bench)
    schedule = taken(bench, sub)
    later = {"items": [{"price": price, "quantity": 1}], "end_date": end + DAY, "proration_behavior": "none"}
    bench.post(f"subscription_schedules/{schedule['id']}",
               {"end_behavior": "release", "phases": [now(schedule, proration_behavior="none"), later]})  # fmt: skip
    bench.until(end + HOUR)
    assert (bench.sub(sub)["schedule"], bench.latest(sub)["amount_paid"]) == (schedule["id"], 900)
    bench.until(end + DAY)
    assert (bench.sub(sub)["schedule"], bench.sub(sub)["items"]["data"][0]["price"]["id"]) == (None, price)
    assert bench.get("invoiceitems", {"pending": True})["data"] == []
    assert bench.post(f"subscriptions/{sub['id']}", {"cancel_at_period_end": True})["cancel_at_period_end"]


def test_preview_of_a_schedule(bench: Bench) -> None:
    """The next invoice of a managed subscription is at the next phase's price, asked for by either; so with changes."""
    sub = bench.subscribe()
    schedule = downgraded(bench, sub, other_price(bench))
    for asked in ({"subscription": sub["id"]}, {"schedule": schedule["id"]}):
        assert bench.post("invoices/create_preview", asked)["total"] == 900
    phases = [now(schedule), {"items": [{"price": bench.price["id"], "quantity": 3}]}]
    asked = {"schedule": schedule["id"], "schedule_details": {"phases": phases}}
    assert bench.post("invoices/create_preview", asked)["total"] == 6000
    assert bench.get(f"subscription_schedules/{schedule['id']}") == schedule


def test_what_it_forbids(bench: Bench) -> None:
    """While it is attached no cancellation field is taken, set or cleared, nor a pause, nor another cycle."""
    sub = bench.subscribe()
    schedule = downgraded(bench, sub, other_price(bench))
    path = f"subscriptions/{sub['id']}"
    for given in ({"cancel_at_period_end": True}, {"cancel_at_period_end": False}, {"cancel_at": ""}):
        error = bench.refuse(400, "POST", path, given)
        assert error["message"] == (
            f"The subscription is managed by the subscription schedule `{schedule['id']}`, and updating any "
            "cancelation behavior directly is not allowed. Please update the schedule instead.")  # fmt: skip
    bench.refuse(400, "POST", f"{path}/pause", {"type": "subscription"})
    bench.refuse(400, "POST", path, {"billing_cycle_anchor": {"type": "now"}})
    assert bench.post(path, {"metadata": {"a": "b"}})["metadata"] == {"a": "b"}


def test_released(bench: Bench) -> None:
    """Released, the subscription goes on as it is; a cancellation that the schedule had set goes, unless it is kept."""
    for keep in (False, True):
        sub = bench.subscribe()
        schedule = taken(bench, sub)
        ending = {"end_behavior": "cancel", "phases": [now(schedule)]}
        bench.post(f"subscription_schedules/{schedule['id']}", ending)
        assert bench.sub(sub)["cancel_at"] == schedule["phases"][0]["end_date"]
        bench.news()
        gone = bench.post(f"subscription_schedules/{schedule['id']}/release", {"preserve_cancel_date": keep})
        assert (gone["status"], gone["subscription"], gone["released_subscription"]) == ("released", None, sub["id"])
        assert (bench.sub(sub)["schedule"], bench.sub(sub)["cancel_at"] is not None) == (None, keep)
        assert bench.told(SCHEDULE, S) == [SCHEDULE + "released", S + "updated"]
        bench.refuse(400, "POST", f"subscription_schedules/{schedule['id']}/release")


def test_end_behavior_cancel(bench: Bench) -> None:
    """With `cancel` the subscription ends with the last phase, and the schedule is completed."""
    sub = bench.subscribe()
    schedule = taken(bench, sub)
    bench.post(f"subscription_schedules/{schedule['id']}", {"end_behavior": "cancel", "phases": [now(schedule)]})
    bench.until(schedule["phases"][0]["end_date"])
    assert bench.status(sub) == "canceled"
    assert bench.get(f"subscription_schedules/{schedule['id']}")["status"] == "completed"


def test_canceled(bench: Bench) -> None:
    """Canceling the schedule cancels the subscription at once, prorated and invoiced where nothing else is said; the
    credit that is all of that invoice is uncollectible and reaches nobody (recorded)."""
    sub = bench.subscribe()
    item = sub["items"]["data"][0]
    bench.until((item["current_period_start"] + item["current_period_end"]) // 2)
    schedule = taken(bench, sub)
    bench.news()
    assert bench.post(f"subscription_schedules/{schedule['id']}/cancel")["status"] == "canceled"
    invoice = bench.latest(sub)
    assert (bench.status(sub), invoice["total"], invoice["status"]) == ("canceled", -1000, "uncollectible")
    assert invoice["number"] is None
    assert bench.get(f"customers/{sub['customer']}")["balance"] == 0
    assert SCHEDULE + "canceled" in bench.told(SCHEDULE)


@pytest.mark.parametrize(("how", "event"), [("delete", "canceled"), ("decline", "aborted")])
def test_subscription_ends_first(bench: Bench, how: str, event: str) -> None:
    """The subscription's end ends the schedule; one for want of payment aborts it."""
    sub = bench.subscribe()
    schedule = downgraded(bench, sub, other_price(bench))
    bench.news()
    if how == "delete":
        bench.delete(f"subscriptions/{sub['id']}")
    else:
        bench.switch("generic_decline")
        bench.until(sub["items"]["data"][0]["current_period_end"] + 20 * DAY)
    assert bench.status(sub) == "canceled"
    assert bench.get(f"subscription_schedules/{schedule['id']}")["status"] == "canceled"
    assert bench.told(SCHEDULE)[-1] == SCHEDULE + event


def test_update_replaces_phases(bench: Bench) -> None:
    """`phases` is the whole of the current and the future ones: what is not sent again is gone, discounts too."""
    bench.post("coupons", {"id": "half", "percent_off": 50, "duration": "forever"})
    sub = bench.subscribe(discounts=[{"coupon": "half"}])
    schedule = taken(bench, sub)
    path = f"subscription_schedules/{schedule['id']}"
    error = bench.refuse(400, "POST", path, {"phases": [{"items": [{"price": bench.price["id"]}]}]})
    assert error["message"] == ("The subscription schedule update is missing at least one phase with a `start_date` to "
                                "anchor end dates to.")  # fmt: skip
    moved = now(schedule, start_date=schedule["phases"][0]["start_date"] + 1)
    error = bench.refuse(400, "POST", path, {"phases": [moved]})
    assert error["message"] == "You can not modify the start date of the current phase."
    bench.post(path, {"phases": [now(schedule, discounts=[{"discount": sub["discounts"][0]}])]})
    assert bench.sub(sub)["discounts"] == sub["discounts"]
    bench.post(path, {"phases": [now(schedule)]})
    assert bench.sub(sub)["discounts"] == []
    assert len(bench.get(path)["phases"]) == 1
    eleven = [now(schedule)] + [{"items": [{"price": bench.price["id"]}]}] * 10
    bench.refuse(400, "POST", path, {"phases": eleven})


def test_update_of_the_current_phase(bench: Bench) -> None:
    """What the current phase says of items is done at once, prorated as it is said."""
    sub = bench.subscribe()
    schedule = taken(bench, sub)
    two = [{"price": bench.price["id"], "quantity": 2}]
    bench.post(f"subscription_schedules/{schedule['id']}",
               {"phases": [now(schedule, items=two)], "proration_behavior": "always_invoice"})  # fmt: skip
    assert (bench.sub(sub)["items"]["data"][0]["quantity"], bench.latest(sub)["amount_paid"]) == (2, 2000)


def test_direct_change_splits_the_phase(bench: Bench) -> None:
    """A change of items beside the schedule is taken and splits the phase; the next one may undo it. Metadata of the
    subscription is not the schedule's; a phase's is merged into it."""
    sub = bench.subscribe(metadata={"user_id": "u_1"})
    schedule = downgraded(bench, sub, other_price(bench), metadata={"plan": "small"})
    bench.wait(DAY)
    bench.news()
    item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 5}]}
    bench.post(f"subscriptions/{sub['id']}", item | {"metadata": {"seen": "yes"}})
    before, after, later = bench.get(f"subscription_schedules/{schedule['id']}")["phases"]
    assert (before["end_date"], after["start_date"]) == (bench.world.time, bench.world.time)
    assert [p["items"][0]["quantity"] for p in (before, after, later)] == [1, 5, 1]
    assert (after["end_date"], after["metadata"]) == (schedule["phases"][0]["end_date"], {})
    assert SCHEDULE + "updated" in bench.told(SCHEDULE)
    bench.until(later["start_date"])
    assert bench.sub(sub)["items"]["data"][0]["quantity"] == 1
    assert bench.sub(sub)["metadata"] == {"user_id": "u_1", "seen": "yes", "plan": "small"}


def test_phase_drops_a_pending_update(bench: Bench) -> None:
    """A change that waits for its payment dies when the phase does."""
    sub = bench.subscribe()
    end = sub["items"]["data"][0]["current_period_end"]
    downgraded(bench, sub, other_price(bench))
    bench.until(end - 20 * HOUR)
    bench.switch("generic_decline")
    held = bench.post(f"subscriptions/{sub['id']}", {
        "items": [{"id": sub["items"]["data"][0]["id"], "quantity": 30}], "payment_behavior": "pending_if_incomplete",
        "proration_behavior": "always_invoice"})  # fmt: skip
    bench.switch("ok")
    bench.until(end + HOUR)
    assert bench.get(f"invoices/{held['latest_invoice']}")["status"] == "void"
    assert (bench.sub(sub)["pending_update"], bench.latest(sub)["total"]) == (None, 900)


def test_of_phases(bench: Bench) -> None:
    """Made of phases it begins at once or later, makes its subscription, and goes through them by the clock."""
    customer = bench.customer()
    phases = [{"items": [{"price": bench.price["id"]}], "duration": {"interval": "month"}},
              {"items": [{"price": other_price(bench)}],
               "duration": {"interval": "month", "interval_count": 2}}]  # fmt: skip
    start = bench.world.time + DAY
    schedule = bench.post("subscription_schedules", {"customer": customer["id"], "phases": phases, "start_date": start})
    assert (schedule["status"], schedule["subscription"]) == ("not_started", None)
    assert bench.get("subscription_schedules", {"scheduled": True})["data"] == [schedule]
    bench.until(start + HOUR)
    schedule = bench.get(f"subscription_schedules/{schedule['id']}")
    sub = bench.get(f"subscriptions/{schedule['subscription']}")
    assert (schedule["status"], sub["status"], bench.latest(sub)["amount_paid"]) == ("active", "active", 2000)
    bench.until(schedule["phases"][1]["start_date"] + HOUR)
    assert bench.latest(sub)["amount_paid"] == 900
    bench.until(schedule["phases"][1]["end_date"] + HOUR)
    assert (bench.status(sub), bench.sub(sub)["schedule"], bench.latest(sub)["amount_paid"]) == ("active", None, 900)


def test_interval_at_the_boundary(bench: Bench) -> None:
    """From monthly to yearly at the period's end: a whole year from then, once paid, in either mode."""
    yearly = other_price(bench, 20000, recurring={"interval": "year"})
    for mode in ("classic", "flexible"):
        sub = bench.subscribe(billing_mode={"type": mode})
        end = sub["items"]["data"][0]["current_period_end"]
        downgraded(bench, sub, yearly, duration={"interval": "year"})
        bench.until(end + HOUR)
        item = bench.sub(sub)["items"]["data"][0]
        assert item["current_period_start"] == end
        assert item["current_period_end"] - end in (365 * DAY, 366 * DAY)
        assert bench.latest(sub)["amount_paid"] == 20000
