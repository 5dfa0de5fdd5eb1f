"""The sandbox over HTTP: the real SDK on every resource, signed deliveries, pages, panel, faults, its file."""

from __future__ import annotations

import asyncio
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import stripe

from interlock.api.sandbox.objects import webhook_endpoints
from interlock.api.sandbox.routes import ROUTES
from tests.sandbox.drives import drive_balance, drive_meters, drive_schedules
from tests.sandbox.live import KEY, Live, Receiver

Obj = dict[str, Any]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """One endpoint for the module."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def live(receiver: Receiver) -> Iterator[Live]:
    """One sandbox for the module."""
    made = Live(receiver.url)
    yield made
    made.close()


def checkout(live: Live, user: str, **data: Any) -> stripe.checkout.Session:
    """A customer of this user, and a session for the plan `pro`."""
    customer = live.stripe.v1.customers.create({"email": f"{user}@b.c", "metadata": {"user_id": user}})
    return live.stripe.v1.checkout.sessions.create(cast("Any", {
        "mode": "subscription", "customer": customer.id, "client_reference_id": user,
        "line_items": [{"price": "price_pro", "quantity": 1}], "success_url": "http://app.example/ok",
        "cancel_url": "http://app.example/no",
        "subscription_data": {"metadata": {"user_id": user}, **data},
    }))  # fmt: skip


# -- the SDK ---------------------------------------------------------------------------------------


def test_the_plans_are_stocked(live: Live) -> None:
    """Each plan has a product and a price with exactly the id or lookup key it names."""
    assert live.stripe.v1.prices.retrieve("price_pro").unit_amount == 2000
    found = live.stripe.v1.prices.list({"lookup_keys": ["team_yearly"]}).data
    assert [(p.unit_amount, p.currency, p.recurring and p.recurring.interval) for p in found] == [
        (90000, "eur", "year")
    ]


def test_sdk_drives_every_resource(live: Live) -> None:
    """StripeClient, synchronously: each route of the table is called through the SDK's own method, and
    takes the parameters that the SDK sends."""
    before = len(ROUTES)
    v1 = live.stripe.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": int(live.box.clock.now())})
    v1.test_helpers.test_clocks.list()
    customer = v1.customers.create({"name": "Ada", "test_clock": clock.id})
    v1.customers.update(customer.id, {"phone": "1"})
    v1.customers.retrieve(customer.id)
    drive_balance(live.stripe, customer.id)
    v1.customers.list({"test_clock": clock.id, "limit": 1})
    method = v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    v1.payment_methods.update(method.id, {"metadata": {"a": "b"}})
    v1.payment_methods.retrieve(method.id)
    v1.payment_methods.list({"customer": customer.id, "type": "card"})
    v1.customers.payment_methods.list(customer.id)
    v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    made = v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    setup = v1.setup_intents.create({"customer": customer.id, "payment_method": made.id})
    v1.setup_intents.retrieve(setup.id)
    v1.setup_intents.list({"customer": customer.id})
    assert v1.setup_intents.confirm(setup.id).status == "succeeded"
    v1.payment_methods.detach(made.id)
    v1.setup_intents.cancel(v1.setup_intents.create({}).id)
    product = v1.products.create({"name": "Thing"})
    v1.products.update(product.id, {"description": "It"})
    v1.products.retrieve(product.id)
    v1.products.list({"active": True})
    v1.products.delete(v1.products.create({"name": "Gone"}).id)
    meter = v1.billing.meters.create({"display_name": "m", "event_name": "m",
                                      "default_aggregation": {"formula": "sum"}})  # fmt: skip
    v1.billing.meters.retrieve(meter.id)
    v1.billing.meters.list()
    v1.billing.meter_events.create({"event_name": "m", "payload": {"stripe_customer_id": customer.id, "value": "1"}})
    price = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 100,
                              "recurring": {"interval": "month"}})  # fmt: skip
    v1.prices.update(price.id, {"nickname": "n"})
    drive_schedules(live.stripe, price.id)
    drive_meters(live.stripe, customer.id)
    coupon = v1.coupons.create({"percent_off": 12.5, "duration": "repeating", "duration_in_months": 3})
    v1.coupons.retrieve(coupon.id)
    v1.coupons.update(coupon.id, {"name": "n"})
    v1.coupons.list()
    code = v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    v1.promotion_codes.update(code.id, {"active": True})
    v1.promotion_codes.retrieve(code.id)
    assert v1.promotion_codes.list({"code": code.code}).data[0].id == code.id
    sub = v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}],
                                   "discounts": [{"promotion_code": code.id}],
                                   "expand": ["latest_invoice.payments", "customer"]})  # fmt: skip
    assert sub.status == "active"
    v1.subscriptions.update(sub.id, {"metadata": {"k": "v"}, "cancel_at_period_end": True})
    v1.subscriptions.update(sub.id, {"cancel_at_period_end": False})
    v1.subscriptions.retrieve(sub.id)
    v1.subscriptions.list({"customer": customer.id, "status": "all"})
    assert v1.subscriptions.pause(sub.id, {"type": "subscription"}).status == "paused"
    assert v1.subscriptions.resume(sub.id, {"billing_cycle_anchor": {"type": "now"}}).status == "active"
    old = v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}],
                                   "billing_mode": {"type": "classic"}})  # fmt: skip
    v1.subscriptions.migrate(old.id, {"billing_mode": {"type": "flexible"}})
    v1.accounts.retrieve_current()
    item = v1.subscription_items.create({"subscription": sub.id, "price": "price_pro"})
    v1.subscription_items.update(item.id, {"quantity": 2})
    v1.subscription_items.retrieve(item.id)
    v1.subscription_items.list({"subscription": sub.id})
    v1.subscription_items.delete(item.id)
    v1.invoices.create_preview({"subscription": sub.id})
    v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 40 * 86_400})
    for _ in range(100):
        if v1.test_helpers.test_clocks.retrieve(clock.id).status == "ready":
            break
        time.sleep(0.01)
    extra = v1.invoice_items.create({"customer": customer.id, "amount": 300, "currency": "usd"})
    v1.invoice_items.retrieve(extra.id)
    v1.invoice_items.update(extra.id, {"description": "d"})
    v1.invoice_items.list({"customer": customer.id})
    spare = v1.invoice_items.create({"customer": customer.id, "amount": 5, "currency": "usd"})
    v1.invoice_items.delete(spare.id)
    invoice = v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include",
                                  "auto_advance": False})  # fmt: skip
    v1.invoices.update(invoice.id, {"description": "x"})
    v1.invoices.retrieve(invoice.id)
    v1.invoices.line_items.list(invoice.id)
    v1.invoices.finalize_invoice(invoice.id)
    assert v1.invoices.pay(invoice.id).status == "paid"
    payment = v1.invoice_payments.list({"invoice": invoice.id}).data[0]
    v1.invoice_payments.retrieve(payment.id)
    v1.invoices.list({"subscription": sub.id})
    for close in (v1.invoices.void_invoice, v1.invoices.mark_uncollectible):
        v1.invoice_items.create({"customer": customer.id, "amount": 300, "currency": "usd"})
        each = v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
        v1.invoices.finalize_invoice(each.id, {"auto_advance": False})
        close(each.id)
    v1.invoices.send_invoice(v1.invoices.create({"customer": customer.id, "collection_method": "send_invoice",
                                                 "days_until_due": 3}).id)  # fmt: skip
    v1.invoices.delete(v1.invoices.create({"customer": customer.id}).id)
    intent = v1.payment_intents.create({"amount": 100, "currency": "usd", "capture_method": "manual",
                                        "payment_method": "pm_card_visa", "confirm": True})  # fmt: skip
    v1.payment_intents.capture(intent.id)
    v1.payment_intents.retrieve(intent.id)
    v1.payment_intents.list()
    waiting = v1.payment_intents.create({"amount": 100, "currency": "usd"})
    v1.payment_intents.update(waiting.id, {"description": "d"})
    v1.payment_intents.confirm(waiting.id, {"payment_method": "pm_card_visa"})
    v1.payment_intents.cancel(v1.payment_intents.create({"amount": 100, "currency": "usd"}).id)
    v1.charges.list()
    v1.charges.retrieve(str(v1.payment_intents.retrieve(intent.id).latest_charge))
    session = checkout(live, "u_sdk")
    v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "customer"]})
    v1.checkout.sessions.list({"limit": 1})
    v1.checkout.sessions.line_items.list(session.id)
    assert v1.checkout.sessions.expire(session.id).status == "expired"
    v1.billing_portal.sessions.create({"customer": customer.id, "flow_data": {
        "type": "subscription_pause", "subscription_pause": {"subscription": sub.id}}})  # fmt: skip
    configuration = v1.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    v1.billing_portal.configurations.update(configuration.id, {"active": False})
    v1.billing_portal.configurations.retrieve(configuration.id)
    v1.billing_portal.configurations.list()
    hook = v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/", "enabled_events": ["coupon.deleted"],
                                        "api_version": "2023-10-16"})  # fmt: skip
    v1.webhook_endpoints.update(hook.id, {"disabled": True})
    v1.webhook_endpoints.retrieve(hook.id)
    v1.webhook_endpoints.list()
    v1.webhook_endpoints.delete(hook.id)
    events = v1.events.list({"types": ["invoice.paid"], "limit": 100})
    assert [e.id for e in events.auto_paging_iter()]
    v1.events.retrieve(events.data[0].id)
    v1.coupons.delete(coupon.id)
    v1.subscriptions.cancel(sub.id, {"cancellation_details": {"comment": "c"}})
    v1.customers.delete(customer.id)
    v1.test_helpers.test_clocks.delete(clock.id)
    called = {(r.method, r.path) for r in ROUTES} - {
        (r.method, r.path) for r in ROUTES if (r.method, r.path) not in live.box.called
    }
    never = {f"{r.method} {r.path}" for r in ROUTES if (r.method, r.path) not in called and r.path.startswith("/v1/")}
    assert never <= {"POST /v1/customers/*/sources", "POST /v1/customers/*/sources/*"}, never
    assert len(ROUTES) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK hands httpx text as `data`
def test_sdk_async(live: Live) -> None:
    """The SDK's asynchronous client over httpx."""

    async def run() -> str:
        http = stripe.HTTPXClient()
        client = stripe.StripeClient(KEY, base_addresses={"api": live.url}, http_client=http)
        made = await client.v1.customers.create_async({"email": "a@b.c"}, options={"idempotency_key": "async"})
        again = await client.v1.customers.create_async({"email": "a@b.c"}, options={"idempotency_key": "async"})
        assert made.id == again.id
        await http.close_async()
        return made.id

    assert asyncio.run(run()).startswith("cus_")


def test_sdk_errors(live: Live) -> None:
    """Each kind of refusal is the SDK's own exception."""
    v1 = live.stripe.v1
    with pytest.raises(stripe.InvalidRequestError) as missing:
        v1.customers.retrieve("cus_no")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    assert str(missing.value.request_id).startswith("req_")
    v1.customers.create({"name": "a"}, options={"idempotency_key": "errors"})
    with pytest.raises(stripe.IdempotencyError):
        v1.customers.create({"name": "b"}, options={"idempotency_key": "errors"})
    customer = v1.customers.create({})
    with pytest.raises(stripe.CardError) as declined:
        v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    assert declined.value.code == "card_declined"
    for key in ("sk_live_x1234567", "nonsense"):
        with pytest.raises(stripe.AuthenticationError):
            stripe.StripeClient(key, base_addresses={"api": live.url}).v1.customers.list()
    assert live.http.get("/v1/customers").status_code == 401


def test_headers(live: Live) -> None:
    """`Request-Id`, and `Date` by the sandbox's clock."""
    answer = live.http.get("/v1/customers", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["stripe-version"] == "2026-10-28.endive"
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers.get_list("date")) == 1


# -- deliveries ------------------------------------------------------------------------------------


def test_from_the_page_to_the_webhook(live: Live, receiver: Receiver) -> None:
    """The checkout page is served, a card pays, and the signed event is there at once."""
    session = checkout(live, "u_fast", trial_period_days=14)
    assert session.url
    page = live.http.get(session.url)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    view = live.http.get(f"/_sandbox/checkout/{session.id}").json()
    assert (view["plan"], view["amount"], view["interval"], view["trial_days"]) == ("Pro", 2000, "month", 14)
    live.quiet()
    receiver.got.clear()
    began = time.perf_counter()
    done = live.panel(f"checkout/{session.id}/pay", {"card": "4242424242424242"})
    assert done == {"status": "complete", "redirect": "http://app.example/ok"}
    receiver.wait_for("checkout.session.completed")
    arrived = next(at for at, e in receiver.got if e["type"] == "customer.subscription.created")
    assert arrived - began < 1.0, arrived - began  # some 20 ms on an idle machine
    error = live.http.post(f"/_sandbox/checkout/{session.id}/pay", json={"card": "4242424242424242"})
    assert error.status_code == 410


def test_decline_on_the_page(live: Live) -> None:
    """A declined card is a 402 with Stripe's error."""
    session = checkout(live, "u_declined")
    error = live.panel(f"checkout/{session.id}/pay", {"card": "4000000000000002"}, 402)["error"]
    assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
    assert live.panel(f"checkout/{session.id}/pay", {"card": "4000002760003184"}) == {"status": "requires_action"}
    assert live.panel(f"checkout/{session.id}/authenticate", {"succeed": True})["status"] == "complete"


def test_retries_until_taken(live: Live, receiver: Receiver) -> None:
    """A failed delivery, a redirect too, comes again within seconds, signed anew."""
    live.quiet()
    receiver.got.clear()
    receiver.headers.clear()
    receiver.answers[:] = [500, 302]
    product = live.stripe.v1.products.create({"name": "Retried"})
    receiver.wait_for("product.created", 3, 8)
    assert len({e["id"] for _, e in receiver.got if e["data"]["object"]["id"] == product.id}) == 1
    assert len(set(receiver.headers[:3])) == 3
    live.quiet()
    log = live.http.get("/_sandbox/deliveries").json()["log"]
    assert [(each["outcome"], each["status"]) for each in log[:3]] == [
        ("delivered", 200), ("failed", 302), ("failed", 500)]  # fmt: skip


def test_rotation(live: Live, receiver: Receiver) -> None:
    """While a secret is rolled, both sign."""
    world = live.box.world
    (endpoint,) = [e for e in world.all("webhook_endpoint") if e["metadata"].get("of")]
    old = list(receiver.secrets)
    new = world.operate(lambda: webhook_endpoints.roll_secret(world, endpoint["id"]))
    receiver.secrets = [*old, new]
    live.quiet()
    receiver.got.clear()
    live.stripe.v1.products.create({"name": "Rotated"})
    receiver.wait_for("product.created")
    assert receiver.headers[-1].count("v1=") == 2
    receiver.secrets = [new]  # the old one signs for a day only


def test_resend(live: Live, receiver: Receiver) -> None:
    """An event may be sent again by hand."""
    live.quiet()
    receiver.got.clear()
    live.stripe.v1.products.create({"name": "Again"})
    event = receiver.wait_for("product.created")
    live.panel("deliveries/resend", {"event": event["id"]})
    assert receiver.wait_for("product.created", 2)["id"] == event["id"]


# -- the panel -------------------------------------------------------------------------------------


def test_a_life_from_the_panel(live: Live, receiver: Receiver) -> None:
    """Trial, conversion, a failed renewal, a new card in the portal, the end: by the panel's buttons."""
    session = checkout(live, "u_life", trial_period_days=14)
    live.panel(f"checkout/{session.id}/pay", {"card": "4242424242424242"})
    sub = live.stripe.v1.subscriptions.list({"customer": str(session.customer)}).data[0]
    live.quiet()
    receiver.got.clear()
    live.panel("clock/advance", {"to": "trial_end", "user_id": "u_life"})
    paid = receiver.wait_for("invoice.paid")
    assert sub.trial_end is not None
    assert paid["created"] == sub.trial_end + 3600
    assert "customer.subscription.trial_will_end" in receiver.types()
    live.panel("next_payment", {"user_id": "u_life", "outcome": "fail"})
    live.panel("clock/advance", {"to": "period_end", "subscription": sub.id})
    assert live.stripe.v1.subscriptions.retrieve(sub.id).status == "past_due"
    portal = live.stripe.v1.billing_portal.sessions.create({"customer": str(session.customer)})
    assert portal.url
    assert live.http.get(portal.url).status_code == 200
    shown = live.http.get(f"/_sandbox/portal/{portal.id}").json()
    invoice = shown["invoices"][0]
    assert live.http.get(invoice["hosted_invoice_url"]).status_code == 200
    assert live.http.get(f"/_sandbox/invoice/{invoice['id']}").json()["invoice"]["status"] == "open"
    live.panel(f"portal/{portal.id}/pay", {"invoice": invoice["id"]}, 402)
    live.panel(f"portal/{portal.id}/payment_method", {"card": "5555555555554444"})
    assert live.stripe.v1.subscriptions.retrieve(sub.id).status == "active"
    live.panel(f"portal/{portal.id}/cancel", {"subscription": sub.id, "at_period_end": True})
    live.panel("clock/advance", {"to": "period_end", "user_id": "u_life"})
    receiver.wait_for("customer.subscription.deleted")
    state = live.http.get("/_sandbox/state").json()
    assert state["now"] == pytest.approx(live.box.clock.now(), abs=5)


def test_panel_checks(live: Live) -> None:
    """Settings are checked, and nothing but JSON changes a state."""
    live.panel("account", {"retries_end": "shrug"}, 400)
    assert live.panel("account", {"retries_end": "unpaid"})["retries_end"] == "unpaid"
    live.panel("account", {"retries_end": "cancel"})
    live.panel("mischief", {"drop": 2}, 400)
    assert live.panel("mischief", {"drop": 0, "seed": 4})["seed"] == 4
    live.panel("clock/advance", {"seconds": -1}, 400)
    live.panel("clock/advance", {"to": "never", "subscription": "sub_none"}, 404)
    live.panel("next_payment", {"user_id": "nobody", "outcome": "fail"}, 404)
    live.panel("nothing", {}, 404)
    form = live.http.post("/_sandbox/account", data={"retries_end": "unpaid"})
    assert form.status_code == 415
    assert (
        live.http.post("/_sandbox/account", content="[]", headers={"content-type": "application/json"}).status_code
        == 400
    )
    assert live.http.get("/assets/..%2fapp.py").status_code == 404
    assert live.http.get("/c/cs_test_no").status_code == 404


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://app.example:8000", True), ("http://localhost:3000", True), ("http://127.0.0.1:9", True),
     ("http://evil.example", False), ("http://localhost.evil.example", False)],
)  # fmt: skip
def test_cors(live: Live, origin: str, allowed: bool) -> None:
    """The application's origin and loopback may use the panel from a browser; nobody else."""
    answer = live.http.get("/_sandbox/state", headers={"Origin": origin})
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


# -- faults ----------------------------------------------------------------------------------------


def test_faults(live: Live) -> None:
    """5xx, 429 with its headers, reset, garbage, slow and lost answers, each so often as told."""
    headers = {"Authorization": f"Bearer {KEY}"}

    def call() -> httpx.Response:
        return live.http.post("/v1/products", data={"name": "Faulty"}, headers=headers, timeout=2)

    def made() -> int:
        return sum(p["name"] == "Faulty" for p in live.box.world.all("product"))

    live.panel("faults", {"path_prefix": "/v1/products", "status": 503, "times": 2})
    assert [call().status_code for _ in range(3)] == [503, 503, 200]
    live.panel("faults", {"path_prefix": "/v1/products", "status": 429, "retry_after": 3, "should_retry": True})
    limited = call()
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
    assert limited.headers["stripe-should-retry"] == "true"
    assert limited.json()["error"]["code"] == "rate_limit"
    for kind, done in (("reset", 0), ("lost", 1)):
        before = made()
        live.panel("faults", {"path_prefix": "/v1/products", kind: True})
        with pytest.raises(httpx.TransportError):
            call()
        assert made() - before == done
    live.panel("faults", {"path_prefix": "/v1/products", "timeout": 0.1})
    with pytest.raises(httpx.TransportError):
        call()
    live.panel("faults", {"path_prefix": "/v1/products", "garbage": True})
    with pytest.raises(json.JSONDecodeError):
        call().json()
    live.panel("faults", {"path_prefix": "/v1/products", "method": "POST", "slow": 0.1})
    assert live.http.get("/v1/products", headers=headers).elapsed.total_seconds() < 0.1
    began = time.perf_counter()
    assert call().status_code == 200
    assert time.perf_counter() - began >= 0.1
    live.panel("faults", {"kind": "nonsense"}, 400)
    live.panel("faults", {"clear": True})


def test_sdk_gets_over_a_lost_answer(live: Live) -> None:
    """The SDK's retry carries its idempotency key: a lost answer does not make two."""
    client = stripe.StripeClient(KEY, base_addresses={"api": live.url}, max_network_retries=2)
    live.panel("faults", {"path_prefix": "/v1/customers", "lost": True})
    client.v1.customers.create({"email": "lost@b.c"})
    assert len(client.v1.customers.list({"email": "lost@b.c"}).data) == 1


# -- its file --------------------------------------------------------------------------------------


def test_file(tmp_path: pathlib.Path) -> None:
    """A sandbox with a file goes on where it stopped: objects, clock, deliveries that were not taken."""
    data = tmp_path / "deep" / "stripe.json"
    first = Live("http://127.0.0.1:1/nobody", data=data)
    session = checkout(first, "u_kept")
    first.panel(f"checkout/{session.id}/pay", {"card": "4242424242424242"})
    first.panel("clock/advance", {"seconds": 40_000})
    first.close()
    receiver = Receiver()
    second = Live(receiver.url, data=data)
    try:
        (sub,) = second.stripe.v1.subscriptions.list({"customer": str(session.customer)}).data
        assert sub.status == "active"
        assert second.box.clock.now() > time.time() + 39_000
        assert len(second.stripe.v1.prices.list().data) == 2
        second.panel("clock/advance", {"seconds": 1})
        receiver.wait_for("customer.subscription.created")
    finally:
        second.close()
        receiver.close()
