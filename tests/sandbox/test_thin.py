"""v2: thin events of what is found wrong with usage, their destinations, meter events in JSON and as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from interlock.api.sandbox.routes import ROUTES
from tests.sandbox.bench import DAY, Bench
from tests.sandbox.live import KEY, Live
from tests.sandbox.test_meters import meter, send, used

Obj = dict[str, Any]
REPORT = "v1.billing.meter.error_report_triggered"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A stand-in that really serves."""
    running = Live()
    yield running
    running.close()


def wrong(bench: Bench, customer: str | None, value: str | None, identifier: str) -> None:
    """An event that is taken, and found wrong later."""
    payload = {"stripe_customer_id": customer, "value": value}
    payload = {key: each for key, each in payload.items() if each is not None}
    bench.post("billing/meter_events", {"event_name": "call", "payload": payload, "identifier": identifier})


def call(bench: Bench, method: str, path: str, params: Obj | None = None) -> Obj:
    """A call of v2 that must go well."""
    answer = bench.world.request(method, f"/v2/{path}", params)
    assert answer.status == 200, answer.body
    return answer.body


def test_report(bench: Bench) -> None:
    """What is wrong with events is told once for a meter, ten seconds later, by code, with samples; and sent thin."""
    of, customer = meter(bench), bench.customer(None)
    made = call(bench, "POST", "core/event_destinations", {
        "name": "errors", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": [REPORT],
        "webhook_endpoint": {"url": "http://127.0.0.1:1/thin"}, "include": ["webhook_endpoint.signing_secret"],
    })  # fmt: skip
    assert made["webhook_endpoint"]["signing_secret"].startswith("whsec_")
    bench.wait(1)
    before = len(bench.world.outbox.pending)
    for customer_id, value, name in (("cus_none", "1", "a"), (None, "1", "b"), (customer["id"], "much", "c"),
                                     (customer["id"], None, "d"), (customer["id"], "1" * 16, "e"),
                                     ("cus_none", "2", "f")):  # fmt: skip
        wrong(bench, customer_id, value, name)
    send(bench, customer, "5")
    bench.wait(9)
    assert call(bench, "GET", "core/events")["data"] == []
    bench.wait(1)
    (event,) = call(bench, "GET", "core/events", {"types": [REPORT], "object_id": of["id"]})["data"]
    reason = event["data"]["reason"]
    assert (event["type"], event["related_object"]["id"], reason["error_count"]) == (REPORT, of["id"], 6)
    assert {each["code"]: each["error_count"] for each in reason["error_types"]} == {
        "meter_event_customer_not_found": 2, "meter_event_no_customer_defined": 1, "meter_event_invalid_value": 1,
        "meter_event_value_not_found": 1, "meter_event_value_too_many_digits": 1}  # fmt: skip
    assert reason["error_types"][0]["sample_errors"][0]["request"]["identifier"] == "a"
    assert used(bench, of, customer) == [5]
    (delivery,) = [each for each in bench.world.outbox.pending.values() if each.endpoint == made["id"]]
    assert len(bench.world.outbox.pending) == before + 1
    body = bench.world.event_for(delivery.event, delivery.endpoint)
    assert body is not None
    assert (body["id"], "data" in body, body["object"]) == (event["id"], False, "v2.core.event")
    client = stripe.StripeClient(KEY)
    raw = json.dumps(body)
    header = stripe.WebhookSignature.generate_signature_header(raw, made["webhook_endpoint"]["signing_secret"])  # pyright: ignore
    told = client.parse_event_notification(raw, header, made["webhook_endpoint"]["signing_secret"])
    assert told.type == REPORT
    bench.wait(30 * DAY)
    assert call(bench, "GET", "core/events")["data"] == []


def test_stream(live: Live) -> None:
    """The SDK's own methods for each route of v2: an event in JSON, a session's token, a hundred at once, the token's
    end after 15 minutes, destinations."""
    _destinations(live)
    v1, v2 = live.stripe.v1, live.stripe.v2
    customer = v1.customers.create({}).id
    of = v1.billing.meters.create({"display_name": "m", "event_name": "streamed", "default_aggregation": {
        "formula": "sum"}})  # fmt: skip
    payload = {"stripe_customer_id": customer, "value": "2"}
    made = v2.billing.meter_events.create({"event_name": "streamed", "payload": payload, "identifier": "one"})
    assert made.identifier == "one"
    with pytest.raises(stripe.StripeError, match="already exists"):
        v2.billing.meter_events.create({"event_name": "streamed", "payload": payload, "identifier": "one"})
    token = v2.billing.meter_event_session.create().authentication_token
    client = stripe.StripeClient(token, base_addresses={"api": live.url, "meter_events": live.url})
    many: Any = [{"event_name": "streamed", "payload": payload, "identifier": f"s{n}"} for n in range(100)]
    client.v2.billing.meter_event_stream.create({"events": many})
    client.v2.billing.meter_event_stream.create({"events": [many[0], {"event_name": "unknown", "payload": payload}]})
    start = int(live.box.clock.now()) // DAY * DAY
    window = {"customer": customer, "start_time": start, "end_time": start + 2 * DAY}
    assert v1.billing.meters.event_summaries.list(of.id, window).data[0].aggregated_value == 202  # pyright: ignore
    live.panel("clock/advance", {"seconds": 901})
    (event,) = v2.core.events.list({"types": ["v1.billing.meter.no_meter_found"]}).data
    assert v2.core.events.retrieve(event.id).type == "v1.billing.meter.no_meter_found"
    with pytest.raises(stripe.StripeError, match="expired"):
        client.v2.billing.meter_event_stream.create({"events": many})
    v2.billing.meter_event_adjustments.create({"event_name": "streamed", "type": "cancel", "cancel": {
        "identifier": "one"}})  # fmt: skip
    assert v1.billing.meters.event_summaries.list(of.id, window).data[0].aggregated_value == 200  # pyright: ignore
    second = {(route.method, route.path) for route in ROUTES if route.path.startswith("/v2/")}
    assert second <= live.box.called, second - live.box.called


def _destinations(live: Live) -> None:
    """Destinations are made, listed and deleted through the SDK, apart from the endpoints of v1."""
    destinations = live.stripe.v2.core.event_destinations
    made = destinations.create({"name": "n", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": [
        REPORT], "webhook_endpoint": {"url": "http://127.0.0.1:1/"}})  # fmt: skip
    assert destinations.retrieve(made.id).name == "n"
    assert [each.id for each in destinations.list().data] == [made.id]
    assert made.id not in [each.id for each in live.stripe.v1.webhook_endpoints.list().data]
    destinations.delete(made.id)
    assert destinations.list().data == []


def test_not_json(live: Live) -> None:
    """What is no JSON object is refused."""
    for body in ("{", "{}x"):
        answer = httpx.post(f"{live.url}/v2/billing/meter_events", content=body, trust_env=False,
                            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"})  # fmt: skip
        assert answer.status_code == 400
