"""Where a kind stand-in would hide a fault: what Stripe refuses is refused here, and in Stripe's words."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from interlock.api.sandbox import WorldAnswer
from interlock.api.sandbox.core.errors import StripeError
from tests.sandbox.bench import DAY, HOUR, Bench
from tests.sandbox.live import KEY, Live

Obj = dict[str, Any]
RESTRICTED = "rk_test_51Restricted0000wxyz"


@pytest.fixture(scope="module")
def shared() -> Iterator[Live]:
    """One stand-in on a port, for the tests that take nothing from each other."""
    live = Live()
    yield live
    live.close()


def metered(bench: Bench) -> Obj:
    """A price that is counted, not bought."""
    meter = bench.post(
        "billing/meters", {"display_name": "c", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter["id"]}
    product = bench.price["product"]
    return bench.post("prices", {"product": product, "currency": "usd", "unit_amount": 2, "recurring": recurring})


def session(*items: Obj, **more: Any) -> Obj:
    """The parameters of a Checkout session."""
    return {"mode": "subscription", "success_url": "http://a.example", "line_items": list(items)} | more


# -- checkout and the portal -----------------------------------------------------------------------


def test_a_quantity_for_a_metered_price_is_refused(bench: Bench) -> None:
    """CASES L: what is metered has no quantity, what is licensed must have one; without it a metered plan is sold."""
    price = metered(bench)
    refused = bench.refuse(400, "POST", "checkout/sessions", session({"price": price["id"], "quantity": 1}))
    words = "Quantity should not be specified where usage_type is `metered`. Remove quantity from `line_items[0]`"
    assert refused["message"] == words
    refused = bench.refuse(400, "POST", "checkout/sessions", session({"price": bench.price["id"]}))
    assert refused["message"] == "Quantity is required. Add `quantity` to `line_items[0]`"
    sold = bench.post("checkout/sessions", session({"price": price["id"]}) | {"expand": ["line_items"]})
    assert (sold["amount_total"], sold["line_items"]["data"][0]["quantity"]) == (0, None)


@pytest.mark.parametrize(
    ("given", "allowed", "words"),
    [
        ({"tax_id_collection": {"enabled": True}}, {"customer_update": {"name": "auto"}}, "customer_update[name]"),
        ({"automatic_tax": {"enabled": True}}, {"customer_update": {"address": "auto"}}, "customer_update[address]"),
        ({"ui_mode": "embedded_page"}, {"success_url": "", "return_url": "http://a.example"}, "success_url"),
    ],
)
def test_what_a_session_asks_for_must_have_its_place(bench: Bench, given: Obj, allowed: Obj, words: str) -> None:
    """[checkout] options that only fail at Stripe: tax for a known customer, and where an embedded page returns to."""
    item = {"price": bench.price["id"], "quantity": 1}
    params = session(item, customer=bench.customer()["id"]) | given
    assert words in bench.refuse(400, "POST", "checkout/sessions", params)["message"]
    assert bench.post("checkout/sessions", params | allowed)["status"] == "open"


def test_automatic_tax_finds_none(bench: Bench) -> None:
    """Where nothing is registered Stripe's automatic tax is on, and 0."""
    sub = bench.subscribe(automatic_tax={"enabled": True})
    invoice = bench.latest(sub)
    assert (sub["automatic_tax"]["enabled"], invoice["automatic_tax"]["enabled"]) == (True, True)
    assert (invoice["total"], invoice["total_taxes"]) == (2000, [])


@pytest.mark.parametrize("kind", ["several items", "usage-based", "sent invoices", "ended", "feature off"])
@pytest.mark.parametrize("flow", ["subscription_update", "subscription_update_confirm"])
def test_the_portal_does_not_change_what_it_cannot(bench: Bench, kind: str, flow: str) -> None:
    """CASES J: the portal updates one licensed item that is charged automatically, if its settings let it."""
    customer, more = bench.customer(), {}
    other = {"product": bench.price["product"], "currency": "usd", "recurring": {"interval": "month"}}
    items = [{"price": bench.price["id"]}]
    if kind == "several items":
        items.append({"price": bench.post("prices", other | {"unit_amount": 500})["id"]})
    if kind == "usage-based":
        items = [{"price": metered(bench)["id"]}]
    if kind == "sent invoices":
        more = {"collection_method": "send_invoice", "days_until_due": 10}
    sub = bench.post("subscriptions", {"customer": customer["id"], "items": items, **more})
    given: Obj = {"customer": customer["id"]}
    if kind == "ended":
        bench.delete(f"subscriptions/{sub['id']}")
    if kind == "feature off":
        given["configuration"] = bench.post("billing_portal/configurations", {"features": {}})["id"]
    details: Obj = {"subscription": sub["id"]}
    if flow.endswith("confirm"):
        details["items"] = [{"id": sub["items"]["data"][0]["id"], "price": bench.price["id"]}]
    refused = bench.refuse(400, "POST", "billing_portal/sessions", given | {"flow_data": {"type": flow, flow: details}})
    assert refused["message"].startswith("This subscription cannot be updated because ")
    assert bench.post("billing_portal/sessions", given)["url"], "the portal itself opens"


def test_a_portal_whose_settings_were_never_saved_is_refused(bench: Bench) -> None:
    """CASES M: a fault of the operator's that only Stripe's words tell."""
    bench.world.account["portal_saved"] = False
    refused = bench.refuse(400, "POST", "billing_portal/sessions", {"customer": bench.customer()["id"]})
    assert refused["message"].startswith("No configuration provided and your test mode default configuration")


# -- lengths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"client_reference_id": "x" * 201}, "must be at most 200 characters"),
        ({"metadata": {"k": "x" * 501}}, "Metadata values can have up to 500 characters, but you passed in a value"),
        ({"metadata": {"k" * 41: "x"}}, "Metadata keys can have up to 40 characters, but you passed in a key"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, "50 metadata keys"),
        ({"subscription_data": {"metadata": {"k": "x" * 501}}}, "Metadata values can have up to 500 characters"),
    ],
)
def test_what_is_too_long_is_refused(bench: Bench, given: Obj, words: str) -> None:
    """CASES M: a user id of 201 characters can be in a token, and not in Stripe."""
    item = {"price": bench.price["id"], "quantity": 1}
    assert words in bench.refuse(400, "POST", "checkout/sessions", session(item) | given)["message"]


def test_what_is_just_long_enough_is_taken(bench: Bench) -> None:
    """The limits are Stripe's, not narrower; keys that are changed are not counted twice."""
    labels = {f"{n:040}": "x" * 500 for n in range(50)}
    made = bench.post("checkout/sessions", session({"price": bench.price["id"], "quantity": 1}, metadata=labels,
                                                   client_reference_id="x" * 200))  # fmt: skip
    assert len(made["metadata"]) == 50
    customer = bench.post("customers", {"metadata": labels})
    bench.post(f"customers/{customer['id']}", {"metadata": {f"{0:040}": "y"}})
    bench.refuse(400, "POST", f"customers/{customer['id']}", {"metadata": {"one more": "y"}})


# -- the lifecycle ---------------------------------------------------------------------------------


def test_the_billing_mode_is_the_versions_and_says_what_it_refuses(bench: Bench) -> None:
    """CASES J: a subscription from before clover is classic: not paused, one interval, until migrated."""
    customer = bench.customer()
    params = {"customer": customer["id"], "items": [{"price": bench.price["id"]}]}
    old = bench.post("subscriptions", params, version="2025-08-27.basil")
    new = bench.post("subscriptions", params)
    assert (old["billing_mode"]["type"], new["billing_mode"]["type"]) == ("classic", "flexible")
    yearly = bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": 9000,
                                   "recurring": {"interval": "year"}})  # fmt: skip
    both = {"items": [{"price": yearly["id"]}]}
    refused = bench.refuse(400, "POST", f"subscriptions/{old['id']}", both)
    assert refused["message"].startswith("All prices on a subscription must have the same `recurring.interval`")
    bench.refuse(400, "POST", f"subscriptions/{old['id']}/pause", {"type": "subscription"})
    bench.post(f"subscriptions/{new['id']}", both)
    moved = bench.post(f"subscriptions/{old['id']}/migrate", {"billing_mode": {"type": "flexible"}})
    assert moved["billing_mode"]["type"] == "flexible"
    assert bench.post(f"subscriptions/{old['id']}/pause", {"type": "subscription"})["status"] == "paused"
    bench.refuse(400, "POST", f"subscriptions/{new['id']}/migrate", {"billing_mode": {"type": "flexible"}})


# -- keys, errors and limits -----------------------------------------------------------------------


def test_an_error_is_kept_under_its_key(shared: Live) -> None:
    """CASES D: a 500 after the call has run is replayed for a day, done is what was done, and another key runs anew."""
    item = {"price": "price_pro", "quantity": 1}
    create: Any = shared.stripe.v1.checkout.sessions.create
    before = len(shared.stripe.v1.checkout.sessions.list({"limit": 100}).data)
    shared.panel("faults", {"failed": 500, "path_prefix": "/v1/checkout/sessions", "method": "POST"})
    key, headers = uuid.uuid4().hex, list[Obj]()
    for _ in range(3):
        with pytest.raises(stripe.APIError) as refused:
            create(session(item), {"idempotency_key": key, "max_network_retries": 0})
        assert refused.value.http_status == 500
        headers.append({name.lower(): value for name, value in (refused.value.headers or {}).items()})
    assert [each.get("idempotent-replayed") for each in headers] == [None, "true", "true"]
    assert headers[1]["original-request"] == headers[0]["request-id"]
    create(session(item), {"idempotency_key": uuid.uuid4().hex})
    assert len(shared.stripe.v1.checkout.sessions.list({"limit": 100}).data) == before + 2


def test_a_kept_error_is_forgotten_after_a_day(bench: Bench) -> None:
    """The key's answer lives a day by the world's clock; a refusal before anything ran is not kept at all."""

    def create(**more: Any) -> WorldAnswer:
        return bench.call("POST", "customers", {"name": "A"}, idempotency_key="k", **more)

    assert bench.call("POST", "customers", {"nonsense": "1"}, idempotency_key="k").status == 400
    assert create(struck=StripeError(500, "An unknown error occurred.", type="api_error")).status == 500
    again = create()
    assert (again.status, again.headers["idempotent-replayed"]) == (500, "true")
    bench.wait(DAY + HOUR)
    assert create().status == 200
    assert len(bench.get("customers")["data"]) == 2, "the one that was answered 500 is there too"


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"limited": 7}, ("rate_limit", "7", None, "global-rate")),
        ({"locked": True}, ("lock_timeout", None, "true", None)),
        ({"status": 429, "retry_after": 2, "should_retry": False}, ("rate_limit", "2", "false", None)),
    ],
)
def test_too_many_calls_are_told_when_to_come_again(shared: Live, fault: Obj, seen: tuple[str | None, ...]) -> None:
    """429 as Stripe sends it: with Retry-After and the reason, or as a lock that is to be tried again at once."""
    shared.panel("faults", fault | {"mark": "limited@example.com"})
    mine, headers = {"email": "limited@example.com"}, {"Authorization": f"Bearer {KEY}"}
    assert shared.http.get("/v1/customers", headers=headers).status_code == 200, "the mark is another's"
    answer = shared.http.post("/v1/customers", data=mine, headers=headers)
    head = answer.headers
    told = (head.get("retry-after"), head.get("stripe-should-retry"), head.get("stripe-rate-limited-reason"))
    assert (answer.status_code, (answer.json()["error"]["code"], *told)) == (429, seen)
    assert shared.http.post("/v1/customers", data=mine, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("permission", "method", "path"),
    [
        ("checkout_session_write", "POST", "checkout/sessions"),
        ("customer_portal_write", "POST", "billing_portal/sessions"),
        ("customer_write", "POST", "customers"),
        ("customer_read", "GET", "customers"),
        ("event_read", "GET", "events"),
        ("plan_read", "GET", "prices"),
        ("subscription_read", "GET", "subscriptions"),
        ("subscription_write", "DELETE", "subscriptions/sub_1"),
        ("invoice_read", "GET", "invoices"),
        ("billing_meter_event_write", "POST", "billing/meter_events"),
    ],
)
def test_a_restricted_key_is_told_which_permission_it_lacks(
    shared: Live, permission: str, method: str, path: str
) -> None:
    """Each permission can be taken from restricted keys; the 403 names it, before anything else is looked at."""
    shared.panel("account", {"denied": [permission]})
    answers = [
        shared.http.request(method, f"/v1/{path}", headers={"Authorization": f"Bearer {key}"})
        for key in (RESTRICTED, KEY)
    ]
    shared.panel("account", {"denied": []})
    assert answers[0].status_code == 403
    words = answers[0].json()["error"]["message"]
    assert words.startswith("The provided key 'rk_test_")
    assert RESTRICTED not in words
    assert words.endswith(f"Having the 'rak_{permission}' permission would allow this request to continue.")
    assert answers[1].status_code != 403, "a secret key may do everything"
    again = shared.http.request(method, f"/v1/{path}", headers={"Authorization": f"Bearer {RESTRICTED}"})
    assert again.status_code != 403


def test_who_may_not_read_may_not_write(shared: Live) -> None:
    """Stripe's levels are none, read and write: without reading there is no writing; unknown words are refused."""
    shared.panel("account", {"denied": ["customer_read"]})
    headers = {"Authorization": f"Bearer {RESTRICTED}"}
    assert "rak_customer_write" in shared.http.post("/v1/customers", headers=headers).text
    shared.panel("account", {"denied": []})
    shared.panel("account", {"denied": ["customers"]}, status=400)
    shared.panel("account", {"denied": "customer_read"}, status=400)


def test_the_account_is_the_keys_own(shared: Live) -> None:
    """Whose key it is can be asked, so that another account's database is not taken for one's own."""
    mine = shared.stripe.v1.accounts.retrieve_current()
    assert mine.id.startswith("acct_1")
    other = Bench(seed=2).get("account")
    assert other["id"] != mine.id


def test_a_test_can_say_what_is_so(bench: Bench) -> None:
    """An object that is imposed is answered as it is, without an event, and time goes on from there."""
    sub = bench.subscribe()
    bench.news()
    bench.world.impose(sub | {"status": "past_due"})
    bench.world.impose(sub | {"id": "sub_imposed", "status": "canceled", "ended_at": sub["created"]})
    assert (bench.status(sub), bench.get("subscriptions/sub_imposed")["status"]) == ("past_due", "canceled")
    assert bench.news() == []
