"""The API's manners: idempotency, pages, expansion, parameters, errors, events, versions. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.api.sandbox import World
from interlock.api.sandbox.core.cards import CARDS, TOKENS
from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.core.params import decode
from interlock.api.sandbox.objects import webhook_endpoints
from interlock.api.sandbox.people import checkout as checkout_page
from interlock.api.sandbox.people import hosted_invoice
from interlock.api.sandbox.people import portal as portal_page
from tests.sandbox.bench import DAY, HOUR, MADE, NOW, PAID, Bench, S
from tests.sandbox.schemas import check

Obj = dict[str, Any]


# -- parameters and errors -------------------------------------------------------------------------


def test_form_decoding() -> None:
    """Stripe's form encoding: hashes, arrays by number or empty brackets, text as it was."""
    decoded = decode("a=1&b[c]=2&d[0][e]=3&d[1][e]=4&f[]=x&f[]=y%20z&metadata[0]=n")
    assert decoded == {
        "a": "1", "b": {"c": "2"}, "d": [{"e": "3"}, {"e": "4"}], "f": ["x", "y z"], "metadata": ["n"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [("customers", {"nope": "1"}, "parameter_unknown", "nope"),
     ("subscriptions", {}, "parameter_missing", "customer"),
     ("subscriptions", {"items": [{"quantity": "x"}]}, "parameter_invalid_integer", "items[0][quantity]"),
     ("checkout/sessions", {"mode": "rent"}, None, "mode"),
     ("checkout/sessions", {"mode": "subscription"}, "parameter_missing", "success_url"),
     ("subscriptions", {"customer": "cus_no", "items": [{"price": "price_no"}]}, "resource_missing", "customer"),
     ("prices", {"currency": "usd", "product_data": {"name": "x"}}, "parameter_missing", "unit_amount"),
     ("coupons", {"percent_off": "many"}, None, "percent_off"),
     ("customers", {"test_clock": "clock_no"}, "resource_missing", "test_clock")],
)  # fmt: skip
def test_refused(bench: Bench, path: str, params: Obj, code: str | None, param: str) -> None:
    """A wrong parameter is a 400 that names it, and leaves nothing behind."""
    before = len(bench.world.events())
    error = bench.refuse(400, "POST", path, params)
    assert (error["type"], error.get("code"), error["param"]) == ("invalid_request_error", code, param)
    assert len(bench.world.events()) == before


def test_not_found(bench: Bench) -> None:
    """404 for an unknown thing or an unknown route."""
    error = bench.refuse(404, "GET", "subscriptions/sub_no")
    assert (error["code"], error["message"]) == ("resource_missing", "No such subscription: 'sub_no'")
    bench.refuse(404, "GET", "quotes")


@pytest.mark.parametrize("version", ["garbage", "2024-6-20", "2024-06-21", "2026-10-28"])
def test_version(bench: Bench, version: str) -> None:
    """A version that Stripe never had is a 400, whatever is asked, and nothing is done or kept under a key."""
    for _ in range(2):
        refused = bench.call("POST", "customers", {}, version=version, idempotency_key="v")
        assert (refused.status, refused.body["error"]["message"]) == (400, f"Invalid Stripe API version: {version}")
    assert bench.call("POST", "customers", {}, version="2026-09-30.endive", idempotency_key="v").status == 200


def test_idempotency(bench: Bench) -> None:
    """The same key and parameters: the same answer, once made. Others: 400. For a day."""
    first = bench.call("POST", "customers", {"email": "a@b.c"}, idempotency_key="k")
    again = bench.call("POST", "customers", {"email": "a@b.c"}, idempotency_key="k")
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = bench.call("POST", "customers", {"email": "x@b.c"}, idempotency_key="k")
    assert (other.status, other.body["error"]["type"]) == (400, "idempotency_error")
    assert len(bench.get("customers")["data"]) == 1
    created = bench.news("customer.created")[0]
    assert created["request"] == {"id": first.headers["request-id"], "idempotency_key": "k"}
    bench.wait(DAY)
    assert bench.call("POST", "customers", {"email": "x@b.c"}, idempotency_key="k").status == 200


def test_idempotency_keeps_declines(bench: Bench) -> None:
    """A decline is kept under its key; a refusal of the parameters is not."""
    customer = bench.customer("pm_card_chargeCustomerFail")
    params = {"customer": customer["id"], "items": [{"price": bench.price["id"]}],
              "payment_behavior": "error_if_incomplete"}  # fmt: skip
    assert bench.call("POST", "subscriptions", params, idempotency_key="d").status == 402
    bench.switch("ok")
    assert bench.call("POST", "subscriptions", params, idempotency_key="d").status == 402
    assert bench.call("POST", "customers", {"no": "1"}, idempotency_key="e").status == 400
    assert bench.call("POST", "customers", {}, idempotency_key="e").status == 200


def test_metadata(bench: Bench) -> None:
    """Metadata is merged; an empty value takes a key away; `previous_attributes` shows only what changed."""
    customer = bench.customer(None, metadata={"a": "1", "b": "2"})
    bench.news()
    bench.post(f"customers/{customer['id']}", {"metadata": {"b": "", "c": "3"}})
    event = bench.news("customer.updated")[0]
    assert event["data"]["object"]["metadata"] == {"a": "1", "c": "3"}
    assert event["data"]["previous_attributes"] == {"metadata": {"b": "2", "c": None}}
    bench.post(f"customers/{customer['id']}", {"metadata": ""})
    assert bench.get(f"customers/{customer['id']}")["metadata"] == {}


# -- lists -----------------------------------------------------------------------------------------


def test_pagination(bench: Bench) -> None:
    """Newest first, forward and back through pages, and the bounds of `limit`."""
    ids = [bench.customer(None)["id"] for _ in range(5)][::-1]
    first = bench.get("customers", {"limit": 2})
    assert ([c["id"] for c in first["data"]], first["has_more"]) == (ids[:2], True)
    second = bench.get("customers", {"limit": "3", "starting_after": ids[1]})
    assert ([c["id"] for c in second["data"]], second["has_more"]) == (ids[2:], False)
    back = bench.get("customers", {"limit": 2, "ending_before": ids[4]})
    assert ([c["id"] for c in back["data"]], back["has_more"]) == (ids[2:4], True)
    bench.refuse(400, "GET", "customers", {"limit": 101})
    bench.refuse(400, "GET", "customers", {"limit": 0})
    bench.refuse(400, "GET", "customers", {"starting_after": "cus_no"})


def test_subscription_filters(bench: Bench) -> None:
    """By customer, status, price and creation; canceled ones only when asked for."""
    mine, theirs = bench.customer(), bench.customer()
    gone, kept = bench.subscribe(mine), bench.subscribe(mine)
    bench.delete(f"subscriptions/{gone['id']}")
    bench.wait(10)
    bench.subscribe(theirs)

    def ids(**params: Any) -> list[str]:
        return [s["id"] for s in bench.get("subscriptions", params)["data"]]

    assert ids(customer=mine["id"]) == [kept["id"]]
    assert ids(customer=mine["id"], status="all") == [kept["id"], gone["id"]]
    assert ids(status="canceled") == ids(status="ended") == [gone["id"]]
    assert len(ids(price=bench.price["id"])) == 2
    assert ids(price="price_no") == []
    assert len(ids(created={"gt": NOW})) == 1


def test_prices_and_codes(bench: Bench) -> None:
    """Prices by lookup key, and a key that moves; promotion codes by code, whatever the case."""
    product = bench.price["product"]
    base: Obj = {"product": product, "currency": "usd", "unit_amount": 1, "lookup_key": "pro"}
    old = bench.post("prices", base)
    assert [p["id"] for p in bench.get("prices", {"lookup_keys": ["pro"]})["data"]] == [old["id"]]
    bench.refuse(400, "POST", "prices", base)
    new = bench.post("prices", base | {"transfer_lookup_key": True})
    assert [p["id"] for p in bench.get("prices", {"lookup_keys": ["pro"]})["data"]] == [new["id"]]
    bench.post("coupons", {"id": "ten", "percent_off": 10})
    code = bench.post("promotion_codes", {"promotion": {"type": "coupon", "coupon": "ten"}, "code": "HELLO"})
    found = bench.get("promotion_codes", {"code": "hello", "active": True})["data"]
    assert [c["id"] for c in found] == [code["id"]]


def test_expand(bench: Bench) -> None:
    """Ids become objects where asked for, through lists too; what cannot be expanded is refused."""
    customer = bench.customer()
    sub = bench.subscribe(customer, expand=["latest_invoice.payments", "customer"])
    assert sub["customer"]["id"] == customer["id"]
    assert sub["latest_invoice"]["payments"]["data"][0]["status"] == "paid"
    listed = bench.get("subscriptions", {"expand": ["data.customer"]})
    assert listed["data"][0]["customer"]["id"] == customer["id"]
    deep = bench.get(f"subscriptions/{sub['id']}", {"expand": ["items.data.price.product"]})
    assert deep["items"]["data"][0]["price"]["product"]["name"] == "Pro"
    bench.refuse(400, "GET", f"subscriptions/{sub['id']}", {"expand": ["status"]})
    bench.refuse(400, "GET", f"subscriptions/{sub['id']}", {"expand": ["a.b.c.d.e"]})
    assert isinstance(bench.sub(sub)["customer"], str)


# -- events ----------------------------------------------------------------------------------------


def test_event_filters(bench: Bench) -> None:
    """By type with a wildcard, by up to 20 types, by time, before an id, by delivery; for 30 days."""
    bench.subscribe()
    every = bench.get("events", {"limit": 100})["data"]
    types = [e["type"] for e in every]
    assert [e["type"] for e in bench.get("events", {"type": "invoice.*"})["data"]] == [
        t for t in types if t.startswith("invoice.")
    ][:10]
    some = bench.get("events", {"types": ["invoice.paid", S + "created"]})["data"]
    assert [e["type"] for e in some] == ["invoice.paid", S + "created"]
    newer = bench.get("events", {"ending_before": every[3]["id"]})["data"]
    assert [e["id"] for e in newer] == [e["id"] for e in every[:3]]
    bench.refuse(400, "GET", "events", {"types": ["a"] * 21})
    assert bench.get("events", {"delivery_success": True})["data"] == []
    for delivery in bench.world.outbox.due(bench.world.time):
        assert bench.world.outbox.done(delivery, NOW, 200)
        bench.world.delivered(delivery.event)
    assert bench.get("events", {"delivery_success": False})["data"] == []
    bench.wait(31 * DAY)
    assert S + "created" not in [e["type"] for e in bench.get("events", {"limit": 100})["data"]]
    bench.refuse(404, "GET", f"events/{every[0]['id']}")


def test_event_of_nobody(bench: Bench) -> None:
    """What Stripe does by itself has no request."""
    bench.subscribe()
    bench.news()
    bench.wait(32 * DAY)
    assert {e["request"]["id"] for e in bench.news()} == {None}


def test_pre_basil_shape() -> None:
    """An endpoint of an old version gets the period on the subscription and `invoice.subscription`."""
    bench = Bench(api_version="2023-10-16")
    sub = bench.subscribe()
    bench.wait(32 * DAY)
    endpoint = bench.endpoint["id"]
    for event in bench.world.events():
        body = bench.world.event_for(event["id"], endpoint)
        assert body is not None
        assert body["api_version"] == "2023-10-16"
        shown, previous = body["data"]["object"], body["data"].get("previous_attributes", {})
        if shown["object"] == "subscription":
            assert shown["current_period_end"] > shown["current_period_start"] >= NOW
            assert "current_period_end" not in shown["items"]["data"][0]
            if "latest_invoice" in previous:
                assert previous["current_period_end"] == sub["items"]["data"][0]["current_period_end"]
        if shown["object"] == "invoice":
            assert shown["subscription"] == sub["id"]
            assert shown["paid"] == (shown["status"] == "paid")
            if shown["paid"]:
                assert (shown["payment_intent"][:3], shown["charge"][:3]) == ("pi_", "ch_")
    answer = bench.world.request("GET", f"/v1/subscriptions/{sub['id']}", version="2023-10-16")
    assert answer.body["current_period_end"]


def test_pre_basil_answers(bench: Bench) -> None:
    """An old request's invoice names its intent and charge, can be asked for them, and its lines have their prices."""
    bench.post("coupons", {"id": "ten", "percent_off": 10})
    code = bench.post("promotion_codes", {"promotion": {"type": "coupon", "coupon": "ten"}})
    sub = bench.subscribe(discounts=[{"promotion_code": code["id"]}])

    def old(path: str, *expand: str, status: int = 200) -> Obj:
        answer = bench.world.request("GET", f"/v1/{path}", {"expand": list(expand)}, version="2024-06-20")
        assert answer.status == status, answer.body
        return answer.body

    invoice = old(f"invoices/{sub['latest_invoice']}")
    intent = bench.get(f"payment_intents/{invoice['payment_intent']}")
    assert (intent["amount"], invoice["charge"]) == (1800, intent["latest_charge"])
    line = invoice["lines"]["data"][0]
    assert (line["price"]["object"], line["price"]["id"]) == ("price", bench.price["id"])
    assert (line["plan"]["object"], line["plan"]["id"]) == ("plan", bench.price["id"])
    assert (invoice["discount"]["object"], invoice["discount"]["coupon"]["id"]) == ("discount", "ten")
    whole = old(f"invoices/{invoice['id']}", "payment_intent.payment_method", "charge", "discounts", "subscription")
    assert (whole["payment_intent"]["id"], whole["charge"]["status"]) == (intent["id"], "succeeded")
    assert whole["payment_intent"]["payment_method"]["object"] == "payment_method"
    assert whole["discounts"][0]["coupon"]["percent_off"] == 10
    assert whole["subscription"]["current_period_end"]
    through = old(f"subscriptions/{sub['id']}", "latest_invoice.payment_intent")["latest_invoice"]
    assert (through["subscription"], through["payment_intent"]["status"]) == (sub["id"], "succeeded")
    listed = old("invoices", "data.charge")["data"]
    assert [each["charge"]["id"] for each in listed] == [invoice["charge"]]
    assert old(f"promotion_codes/{code['id']}")["coupon"]["object"] == "coupon"
    old(f"invoices/{invoice['id']}", "payments", status=400)


# -- cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_card(bench: Bench, name: str) -> None:
    """Each `pm_card_…` attaches or is declined, and its first charge ends, as Stripe documents the card."""
    card = CARDS[TOKENS[name]]
    customer = bench.customer(None)
    answer = bench.call("POST", f"payment_methods/pm_card_{name}/attach", {"customer": customer["id"]})
    if card.setup not in ("ok", "authenticate"):
        assert (answer.status, answer.body["error"]["type"]) == (402, "card_error")
        return
    assert (answer.status, answer.body["card"]["last4"]) == (200, card.number[-4:])
    sub = bench.subscribe(customer, default_payment_method=answer.body["id"])
    assert sub["status"] == ("active" if card.later == "ok" else "incomplete")


def test_detach(bench: Bench) -> None:
    """A detached method is nobody's default any more."""
    customer = bench.customer()
    method = customer["invoice_settings"]["default_payment_method"]
    bench.post(f"payment_methods/{method}/detach")
    assert bench.get(f"customers/{customer['id']}")["invoice_settings"]["default_payment_method"] is None
    assert bench.get("payment_methods", {"customer": customer["id"]})["data"] == []


# -- checkout --------------------------------------------------------------------------------------


def session(bench: Bench, **more: Any) -> Obj:
    """A checkout session for the price."""
    return bench.post("checkout/sessions", {
        "mode": "subscription", "success_url": "https://app/ok?s={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app/no", "line_items": [{"price": bench.price["id"], "quantity": 2}],
        "client_reference_id": "u_1", "metadata": {"of": "session"},
        "subscription_data": {"metadata": {"user_id": "u_1"}}, **more})  # fmt: skip


def test_checkout_pays(bench: Bench) -> None:
    """The customer is made, the subscription is incomplete and then active, the session complete."""
    made = session(bench)
    bench.news()
    done = bench.world.click(checkout_page.pay, made["id"], "4242 4242 4242 4242")
    assert done == {"status": "complete", "redirect": f"https://app/ok?s={made['id']}"}
    news = bench.news("customer", "invoice.", "checkout")
    assert [e["type"] for e in news if e["type"] != "customer.created"] == [
        S + "created", *MADE, S + "updated", *PAID, "checkout.session.completed",
    ]  # fmt: skip
    assert news[1]["data"]["object"]["status"] == "incomplete"
    now = bench.get(f"checkout/sessions/{made['id']}", {"expand": ["subscription", "line_items"]})
    assert (now["status"], now["payment_status"], now["amount_total"]) == ("complete", "paid", 4000)
    assert now["subscription"]["metadata"] == {"user_id": "u_1"}
    assert now["subscription"]["items"]["data"][0]["quantity"] == 2
    with pytest.raises(StripeError):
        bench.world.click(checkout_page.pay, made["id"], "4242424242424242")


def test_checkout_declines(bench: Bench) -> None:
    """A declined card makes nothing, and another may be tried."""
    made = session(bench)
    bench.news()
    with pytest.raises(StripeError) as refused:
        bench.world.click(checkout_page.pay, made["id"], "4000000000009995")
    assert refused.value.error["decline_code"] == "insufficient_funds"
    with pytest.raises(StripeError):
        bench.world.click(checkout_page.pay, made["id"], "4000000000000341")
    assert bench.news() == []
    assert bench.world.click(checkout_page.pay, made["id"], "5555555555554444")["status"] == "complete"


def test_checkout_authenticates(bench: Bench) -> None:
    """3-D Secure leaves it incomplete; failed, the session is still open; passed, it is active."""
    made = session(bench)
    assert bench.world.click(checkout_page.pay, made["id"], "4000002760003184") == {"status": "requires_action"}
    sub = bench.get("subscriptions", {"status": "incomplete"})["data"][0]
    with pytest.raises(StripeError):
        bench.world.click(checkout_page.authenticate, made["id"], False)
    assert bench.get(f"checkout/sessions/{made['id']}")["status"] == "open"
    assert bench.world.click(checkout_page.pay, made["id"], "4000002500003155") == {"status": "requires_action"}
    assert bench.world.click(checkout_page.authenticate, made["id"], True)["status"] == "complete"
    assert bench.status(sub) == "active"
    assert len(bench.get("subscriptions", {"status": "all"})["data"]) == 1


def test_checkout_trial(bench: Bench) -> None:
    """A trial takes the card without charging, after 3-D Secure where the card wants it."""
    made = session(bench, subscription_data={"trial_period_days": 14})
    assert (made["amount_total"], bench.world.click(checkout_page.view, made["id"])["trial_days"]) == (0, 14)
    assert bench.world.click(checkout_page.pay, made["id"], "4000002500003155") == {"status": "requires_action"}
    assert bench.get("subscriptions")["data"] == []
    assert bench.world.click(checkout_page.authenticate, made["id"], True)["status"] == "complete"
    sub = bench.get("subscriptions")["data"][0]
    assert sub["status"] == "trialing"
    assert bench.get(f"checkout/sessions/{made['id']}")["payment_status"] == "no_payment_required"
    bench.until(sub["trial_end"] + HOUR)
    assert bench.latest(sub)["status"] == "paid"


def test_checkout_without_card(bench: Bench) -> None:
    """`if_required`: a trial without a card; `always` insists."""
    trial = {"trial_period_days": 7}
    strict = session(bench, subscription_data=trial)
    with pytest.raises(StripeError):
        bench.world.click(checkout_page.pay, strict["id"], None)
    lax = session(bench, subscription_data=trial, payment_method_collection="if_required")
    assert bench.world.click(checkout_page.pay, lax["id"], None)["status"] == "complete"
    assert bench.get("subscriptions")["data"][0]["default_payment_method"] is None


def test_checkout_expires(bench: Bench) -> None:
    """By itself after a day or at `expires_at`, or by the API; not between half an hour and a day: refused."""
    by_itself, by_hand = session(bench), session(bench)
    soon = session(bench, expires_at=bench.world.time + 1800)
    bench.refuse(400, "POST", "checkout/sessions", {
        "mode": "subscription", "success_url": "x", "line_items": [{"price": bench.price["id"], "quantity": 1}],
        "expires_at": bench.world.time + 60})  # fmt: skip
    assert bench.post(f"checkout/sessions/{by_hand['id']}/expire")["status"] == "expired"
    bench.refuse(400, "POST", f"checkout/sessions/{by_hand['id']}/expire")
    bench.news()
    bench.wait(1800)
    assert [e["data"]["object"]["id"] for e in bench.news("checkout")] == [soon["id"]]
    bench.wait(DAY)
    assert [e["data"]["object"]["id"] for e in bench.news("checkout")] == [by_itself["id"]]


def test_checkout_promotion(bench: Bench) -> None:
    """A code typed on the page, or given with the session, takes its part of the price."""
    bench.post("coupons", {"id": "half", "percent_off": 50})
    code = bench.post("promotion_codes", {"promotion": {"type": "coupon", "coupon": "half"}, "code": "HALF"})
    typed = session(bench, allow_promotion_codes=True)
    with pytest.raises(StripeError):
        bench.world.click(checkout_page.apply_promotion, typed["id"], "NOPE")
    assert bench.world.click(checkout_page.apply_promotion, typed["id"], "half")["amount_total"] == 2000
    bench.world.click(checkout_page.pay, typed["id"], "4242424242424242")
    given = session(bench, discounts=[{"promotion_code": code["id"]}])
    assert given["amount_total"] == 2000
    bench.world.click(checkout_page.pay, given["id"], "4242424242424242")
    assert {i["total"] for i in bench.get("invoices")["data"]} == {2000}
    assert bench.get(f"promotion_codes/{code['id']}")["times_redeemed"] == 2


# -- portal ----------------------------------------------------------------------------------------


def test_portal(bench: Bench) -> None:
    """Sessions and flows, and every button; another customer's things are not there."""
    customer = bench.customer()
    sub, other = bench.subscribe(customer), bench.subscribe()
    flows: list[Obj] = [{"type": "payment_method_update"}]
    flows += [{"type": t, t: {"subscription": sub["id"]}}
              for t in ("subscription_cancel", "subscription_update", "subscription_pause")]  # fmt: skip
    for flow in flows:
        made = bench.post("billing_portal/sessions", {"customer": customer["id"], "flow_data": flow})
        assert made["flow"]["type"] == flow["type"]
    bench.refuse(400, "POST", "billing_portal/sessions", {"customer": customer["id"], "flow_data": {"type": "x"}})
    id_ = bench.post("billing_portal/sessions", {"customer": customer["id"], "return_url": "https://app"})["id"]

    def click(action: Any, *args: Any) -> str:
        bench.world.click(action, id_, *args)
        return bench.status(sub)

    with pytest.raises(StripeError):
        click(portal_page.cancel, other["id"], True)
    view = bench.world.click(portal_page.view, id_)
    assert [s["id"] for s in view["subscriptions"]] == [sub["id"]]
    click(portal_page.cancel, sub["id"], True)
    assert bench.sub(sub)["cancel_at_period_end"]
    click(portal_page.renew, sub["id"])
    assert not bench.sub(sub)["cancel_at_period_end"]
    click(portal_page.update, sub["id"], None, 3)
    assert bench.sub(sub)["items"]["data"][0]["quantity"] == 3
    assert click(portal_page.pause, sub["id"]) == "paused"
    assert click(portal_page.resume, sub["id"]) == "active"
    assert click(portal_page.cancel, sub["id"], False) == "canceled"


def test_portal_new_card_pays(bench: Bench) -> None:
    """A new card pays what is past due; a declined one changes nothing."""
    customer = bench.customer()
    sub = bench.subscribe(customer)
    bench.switch("generic_decline")
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    id_ = bench.post("billing_portal/sessions", {"customer": customer["id"]})["id"]
    with pytest.raises(StripeError):
        bench.world.click(portal_page.add_card, id_, "4000000000000002")
    assert bench.status(sub) == "past_due"
    assert bench.world.click(portal_page.add_card, id_, "4242424242424242")["paid"][0]["outcome"] == "paid"
    assert bench.status(sub) == "active"


# -- invoices of one's own -------------------------------------------------------------------------


def test_invoice_by_hand(bench: Bench) -> None:
    """Draft, item, finalize, pay; void; delete; and what each status does not allow."""
    customer = bench.customer()
    owner = {"customer": customer["id"]}
    item = bench.post("invoiceitems", owner | {"amount": 700, "currency": "usd", "description": "Setup"})
    draft = bench.post("invoices", owner | {"pending_invoice_items_behavior": "include"})
    assert (draft["status"], draft["total"]) == ("draft", 700)
    assert bench.get(f"invoiceitems/{item['id']}")["invoice"] == draft["id"]
    bench.refuse(400, "POST", f"invoices/{draft['id']}/void")
    opened = bench.post(f"invoices/{draft['id']}/finalize", {"auto_advance": False})
    assert (opened["status"], bool(opened["hosted_invoice_url"])) == ("open", True)
    bench.refuse(400, "DELETE", f"invoices/{draft['id']}")
    assert bench.post(f"invoices/{draft['id']}/pay")["status"] == "paid"
    assert bench.refuse(400, "POST", f"invoices/{draft['id']}/pay")["code"] == "invoice_already_paid"
    bench.delete(f"invoices/{bench.post('invoices', owner)['id']}")
    preview = bench.post("invoices/create_preview", {"subscription": bench.subscribe(customer)["id"]})
    assert (preview["total"], preview["billing_reason"]) == (2000, "upcoming")


def test_hosted_invoice_page(bench: Bench) -> None:
    """An open invoice is paid on its page with a card."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    with pytest.raises(StripeError):
        bench.world.click(hosted_invoice.pay_hosted, sub["latest_invoice"], "4000000000000341")
    assert bench.world.click(hosted_invoice.pay_hosted, sub["latest_invoice"], "4242424242424242")["status"] == "paid"
    assert bench.status(sub) == "active"


# -- test clocks and determinism -------------------------------------------------------------------


def test_test_clock(bench: Bench) -> None:
    """A customer on a test clock lives by it alone; advancing answers at once and is ready after."""
    clock = bench.post("test_helpers/test_clocks", {"frozen_time": NOW + DAY})
    sub = bench.subscribe(bench.customer(test_clock=clock["id"]))
    other = bench.subscribe()
    assert (sub["created"], other["created"]) == (NOW + DAY, NOW)
    path = f"test_helpers/test_clocks/{clock['id']}"
    bench.news()
    assert bench.post(f"{path}/advance", {"frozen_time": NOW + 40 * DAY})["status"] == "advancing"
    bench.refuse(400, "POST", f"{path}/advance", {"frozen_time": NOW + 50 * DAY})
    bench.world.finish_clocks()
    assert bench.get(path)["status"] == "ready"
    told = bench.told("customer.subscription", "invoice.paid", "test_helpers")
    assert told == ["test_helpers.test_clock.advancing", S + "updated", "invoice.paid",
                    "test_helpers.test_clock.ready"]  # fmt: skip
    assert bench.sub(other)["items"]["data"][0]["current_period_start"] == NOW
    bench.wait(90 * DAY)
    assert bench.latest(sub)["created"] < NOW + 40 * DAY
    bench.delete(path)
    bench.refuse(404, "GET", f"subscriptions/{sub['id']}")


def story(seed: int) -> World:
    """A year of somebody's subscription."""
    bench = Bench(seed)
    sub = bench.subscribe()
    bench.wait(100 * DAY)
    bench.switch("insufficient_funds")
    bench.wait(60 * DAY)
    assert bench.status(sub) == "canceled"
    return bench.world


def test_deterministic() -> None:
    """The same seed and calls: the same ids, events and times. Another seed: other ids."""
    one, two, other = story(7).dump(), story(7).dump(), story(8).dump()
    assert json.dumps(one) == json.dumps(two) != json.dumps(other)


def test_kept_and_taken_up(bench: Bench) -> None:
    """A dump taken up goes on as if nothing had happened, timers and deliveries included."""
    sub = bench.subscribe()
    bench.wait(10 * DAY)
    twin = World(seed=0, now=0)
    twin.load(json.loads(json.dumps(bench.world.dump())))
    for world in (bench.world, twin):
        world.advance(world.time + 60 * DAY)
    assert twin.dump() == bench.world.dump()
    assert twin.find("subscription", sub["id"]) == bench.world.find("subscription", sub["id"])


def test_endpoint_secrets(bench: Bench) -> None:
    """The secret is shown once; after a roll both sign for at most a day."""
    path = f"webhook_endpoints/{bench.endpoint['id']}"
    assert bench.endpoint["secret"].startswith("whsec_")
    assert "secret" not in bench.get(path)
    world = bench.world
    new = world.operate(lambda: webhook_endpoints.roll_secret(world, bench.endpoint["id"]))
    assert world.secrets_of(bench.endpoint["id"]) == [new, bench.endpoint["secret"]]
    bench.wait(DAY)
    assert world.secrets_of(bench.endpoint["id"]) == [new]
    assert bench.post(path, {"disabled": True})["status"] == "disabled"
    bench.delete(path)
    check(bench.get("webhook_endpoints"))
    assert bench.get("webhook_endpoints")["data"] == []
