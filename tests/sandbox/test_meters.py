"""Meters: what is taken, refused and counted, and what it costs on an invoice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.bench import DAY, HOUR, NOW, Bench

Obj = dict[str, Any]


def meter(bench: Bench, formula: str = "sum", **more: Any) -> Obj:
    """A meter of calls."""
    return bench.post("billing/meters", {"display_name": "Calls", "event_name": "call",
                                         "default_aggregation": {"formula": formula}} | more)  # fmt: skip


def send(bench: Bench, customer: Obj, value: str = "1", **more: Any) -> Obj:
    """One event."""
    payload = {"stripe_customer_id": customer["id"], "value": value}
    return bench.post("billing/meter_events", {"event_name": "call", "payload": payload} | more)


def refused(bench: Bench, customer: Obj, **more: Any) -> Obj:
    """The error of an event that is refused at once."""
    payload = {"stripe_customer_id": customer["id"], "value": "1"}
    return bench.refuse(400, "POST", "billing/meter_events", {"event_name": "call", "payload": payload} | more)


def used(bench: Bench, of: Obj, customer: Obj, **more: Any) -> list[float]:
    """What the summaries say of the two days around now, the newest first."""
    start = bench.world.time - bench.world.time % DAY - DAY
    window = {"customer": customer["id"], "start_time": start, "end_time": start + 3 * DAY}
    found = bench.get(f"billing/meters/{of['id']}/event_summaries", window | more)
    return [each["aggregated_value"] for each in found["data"]]


def price(bench: Bench, of: Obj, **more: Any) -> str:
    """A metered monthly price."""
    given: Obj = {"product": bench.price["product"], "currency": "usd",
                  "recurring": {"interval": "month", "usage_type": "metered", "meter": of["id"]}}  # fmt: skip
    given |= more if more.keys() & {"billing_scheme", "unit_amount_decimal"} else {"unit_amount": 3} | more
    return str(bench.post("prices", given)["id"])


def subscribed(bench: Bench, of: Obj, **more: Any) -> tuple[Obj, Obj]:
    """A customer and their metered subscription."""
    mode = more.pop("mode", "flexible")
    customer = bench.customer()
    return customer, bench.post("subscriptions", {
        "customer": customer["id"], "items": [{"price": price(bench, of, **more)}], "billing_mode": {"type": mode},
    })  # fmt: skip


@pytest.mark.parametrize(("formula", "expected"), [("sum", 12.5), ("count", 3), ("last", 2.5)])
def test_formulas(bench: Bench, formula: str, expected: float) -> None:
    """Sum, count, or the value of the latest time, whatever came last."""
    of, customer = meter(bench, formula), bench.customer(None)
    for value, at in (("2.5", NOW), ("4", NOW - 60), ("6", NOW - 120)):
        send(bench, customer, value, timestamp=at)
    assert used(bench, of, customer) == [expected]


def test_same_identifier(bench: Bench) -> None:
    """An identifier is refused for a day, whatever else the event says, and forgotten then: it counts twice."""
    of, customer = meter(bench), bench.customer(None)
    sent = {"event_name": "call", "payload": {"stripe_customer_id": customer["id"], "value": "2"}, "identifier": "i"}
    first = bench.call("POST", "billing/meter_events", sent, idempotency_key="k")
    again = bench.call("POST", "billing/meter_events", sent, idempotency_key="k")
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    answer = bench.call("POST", "billing/meter_events", sent, idempotency_key="other")
    assert answer.body["error"]["message"] == "An event already exists with identifier i."
    assert (answer.status, answer.headers["stripe-should-retry"]) == (400, "false")
    bench.wait(DAY)
    send(bench, customer, "2", identifier="i")
    assert used(bench, of, customer) == [4]


def test_refused_at_once(bench: Bench) -> None:
    """No active meter of this name, and times more than 35 days ago or 5 minutes ahead."""
    customer = bench.customer(None)
    assert refused(bench, customer)["message"] == 'No active meter found for event name "call".'
    of = meter(bench)
    assert refused(bench, customer, timestamp=NOW - 35 * DAY - 1)["code"] == "timestamp_too_far_in_past"
    assert refused(bench, customer, timestamp=NOW + 301)["code"] == "timestamp_in_future"
    refused(bench, customer, identifier="x" * 101)
    bench.post(f"billing/meters/{of['id']}/deactivate")
    assert "No active meter" in refused(bench, customer)["message"]
    meter(bench)
    bench.refuse(400, "POST", f"billing/meters/{of['id']}/reactivate")


def test_lag_and_adjustments(bench: Bench) -> None:
    """An event counts once it was processed; one that is taken back within a day does not count."""
    bench.world.account["meter_lag"] = 300
    of, customer = meter(bench), bench.customer(None)
    send(bench, customer, "5", identifier="a")
    send(bench, customer, "7", identifier="b")
    assert used(bench, of, customer) == []
    bench.wait(300)
    assert used(bench, of, customer) == [12]
    back = {"event_name": "call", "type": "cancel", "cancel": {"identifier": "a"}}
    assert bench.post("billing/meter_event_adjustments", back)["status"] == "pending"
    assert used(bench, of, customer) == [7]
    bench.refuse(400, "POST", "billing/meter_event_adjustments", back | {"cancel": {"identifier": "unknown"}})
    bench.wait(DAY)
    bench.refuse(400, "POST", "billing/meter_event_adjustments", back | {"cancel": {"identifier": "b"}})


def test_summaries_align(bench: Bench) -> None:
    """Whole minutes, hours or days; a window for each that has values, the newest first; the end is not in it."""
    of, customer = meter(bench), bench.customer(None)
    hour = NOW - NOW % HOUR
    for at in (hour - HOUR, hour - 1, hour):
        send(bench, customer, "1", timestamp=at)
    assert used(bench, of, customer, value_grouping_window="hour") == [1, 2]
    path, asked = f"billing/meters/{of['id']}/event_summaries", {"customer": customer["id"]}
    for more in ({"start_time": hour + 1, "end_time": hour + 60}, {"start_time": hour, "end_time": hour}):
        bench.refuse(400, "GET", path, asked | more)
    bench.refuse(400, "GET", path, asked | {"start_time": hour - 60, "end_time": hour, "value_grouping_window": "hour"})
    window = bench.get(path, asked | {"start_time": hour - HOUR, "end_time": hour})["data"]
    assert [each["aggregated_value"] for each in window] == [2]


def test_pre_aggregated(bench: Bench) -> None:
    """Of a meter by the hour the last event received in it counts."""
    of, customer = meter(bench, event_time_window="hour"), bench.customer(None)
    send(bench, customer, "5")
    bench.wait(1)
    send(bench, customer, "3", timestamp=NOW)
    send(bench, customer, "2", timestamp=NOW - HOUR)
    assert used(bench, of, customer) == [5]


TIERS = [{"up_to": "10", "unit_amount": "100", "flat_amount": "500"}, {"up_to": "inf", "unit_amount_decimal": "12.5"}]


@pytest.mark.parametrize(
    ("given", "value", "amount"),
    [({}, "12", 36), ({"unit_amount_decimal": "0.25"}, "10", 3), ({}, "-4", 0),
     ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, "14", 500 + 1000 + 50),
     ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, "0", 500),
     ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}, "14", 175),
     ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}, "10", 1500),
     ({"transform_quantity": {"divide_by": 5, "round": "up"}}, "11", 9),
     ({"transform_quantity": {"divide_by": 5, "round": "down"}}, "11", 6)],
)  # fmt: skip
def test_billed(bench: Bench, given: Obj, value: str, amount: int) -> None:
    """At the renewal what was used in the period is billed: by the unit, by tiers, in packages; below zero nothing."""
    of = meter(bench)
    customer, sub = subscribed(bench, of, **given)
    send(bench, customer, value)
    item = sub["items"]["data"][0]
    bench.until(item["current_period_end"] + HOUR)
    (line,) = bench.latest(sub)["lines"]["data"]
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    assert (line["amount"], line["period"]) == (amount, period)
    assert line["quantity"] == max(0, int(value))


def test_late_events(bench: Bench) -> None:
    """An event for the past period counts while its invoice is a draft; once it is finalized nobody bills it."""
    of = meter(bench)
    customer, sub = subscribed(bench, of)
    end = sub["items"]["data"][0]["current_period_end"]
    send(bench, customer, "10")
    bench.until(end + HOUR // 2)
    draft = bench.latest(sub)
    assert (draft["status"], draft["total"]) == ("draft", 30)
    send(bench, customer, "20", timestamp=end - 1)
    bench.until(end + HOUR)
    assert (bench.latest(sub)["total"], bench.latest(sub)["lines"]["data"][0]["quantity"]) == (90, 30)
    send(bench, customer, "100", timestamp=end - 1)
    bench.until(bench.sub(sub)["items"]["data"][0]["current_period_end"] + HOUR)
    assert bench.latest(sub)["total"] == 0


def test_preview_counts(bench: Bench) -> None:
    """A preview shows what was used so far."""
    of = meter(bench)
    customer, sub = subscribed(bench, of, unit_amount=50)
    send(bench, customer, "4")
    assert bench.post("invoices/create_preview", {"subscription": sub["id"]})["total"] == 200


@pytest.mark.parametrize(("given", "billed"), [({}, None), ({"invoice_now": True}, 600), ("at_period_end", 600)])
def test_canceled(bench: Bench, given: Any, billed: int | None) -> None:
    """Canceled now, usage is billed only where it is asked for; at the period's end the last invoice has it."""
    of = meter(bench)
    customer, sub = subscribed(bench, of, unit_amount=100)
    send(bench, customer, "6")
    bench.wait(DAY)
    if given == "at_period_end":
        bench.post(f"subscriptions/{sub['id']}", {"cancel_at_period_end": True})
        bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    else:
        bench.delete(f"subscriptions/{sub['id']}", given)
    assert bench.status(sub) == "canceled"
    last = bench.latest(sub)
    assert (last["amount_paid"] if last["id"] != sub["latest_invoice"] else None) == billed


@pytest.mark.parametrize(("mode", "billed"), [("flexible", 1100), ("classic", 1000)])
def test_price_changed(bench: Bench, mode: str, billed: int) -> None:
    """Flexible bills what was used at the old price, classic drops it."""
    of = meter(bench)
    customer, sub = subscribed(bench, of, unit_amount=10, mode=mode)
    send(bench, customer, "10")
    bench.wait(DAY)
    change = {"items": [{"id": sub["items"]["data"][0]["id"], "price": price(bench, of, unit_amount=100)}]}
    bench.post(f"subscriptions/{sub['id']}", change)
    send(bench, customer, "10")
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    assert bench.latest(sub)["total"] == billed


def test_trial_is_free(bench: Bench) -> None:
    """What is used in a trial is not billed."""
    of, customer = meter(bench), bench.customer()
    items = [{"price": price(bench, of)}]
    sub = bench.post("subscriptions", {"customer": customer["id"], "items": items, "trial_period_days": 3})
    send(bench, customer, "1000")
    bench.wait(3 * DAY + HOUR)
    assert bench.latest(sub)["total"] == 0


def test_tiers(bench: Bench) -> None:
    """Tiers are ascending, the last without an end, and shown when they are asked for; seats have them too."""
    good: Obj = {"product": bench.price["product"], "currency": "usd", "billing_scheme": "tiered",
                 "tiers_mode": "graduated", "tiers": TIERS, "recurring": {"interval": "month"}}  # fmt: skip
    made = bench.post("prices", good)
    assert (made["unit_amount"], made["tiers_mode"], "tiers" in made) == (None, "graduated", False)
    shown = bench.get(f"prices/{made['id']}", {"expand": ["tiers"]})["tiers"]
    assert [(tier["up_to"], tier["unit_amount"], tier["unit_amount_decimal"]) for tier in shown] == [
        (10, 100, "100"), (None, None, "12.5")]  # fmt: skip
    sub = bench.post("subscriptions", {"customer": bench.customer()["id"],
                                       "items": [{"price": made["id"], "quantity": 12}]})  # fmt: skip
    assert bench.latest(sub)["amount_paid"] == 500 + 1000 + 25
    wrong: tuple[Obj, ...] = ({"tiers": TIERS[:1]}, {"tiers": []}, {"unit_amount": 5}, {"tiers": TIERS[::-1]})
    for more in wrong:
        bench.refuse(400, "POST", "prices", good | more)
    bench.refuse(400, "POST", "prices", {key: value for key, value in good.items() if key != "tiers_mode"})
