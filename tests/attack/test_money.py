"""Row 17: no URL or price comes from a client; what can't be sold is 422 before Stripe hears of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from interlock.api.schema.shapes import MAX_QUANTITY
from tests.attack.victim import Obj, Victim
from tests.kit.bodies import fresh
from tests.kit.hose import Answer
from tests.kit.scale import Figure
from tests.kit.stripe import StandIn

APP = "http://localhost:3000/"
EVIL = "evil.example"
URLS = [
    f"https://{EVIL}", f"//{EVIL}", f"/\\{EVIL}", f"https:{EVIL}", "javascript:alert(1)",
    f"http://localhost:3000@{EVIL}/",
    f"http://localhost:3000.{EVIL}/", f"\thttps://{EVIL}", f"https://{EVIL}%00.localhost", "data:text/html,<script>",
]  # fmt: skip
NAMES = [
    "success_url", "cancel_url", "return_url", "url", "redirect", "redirect_uri", "next", "callback", "success_path",
    "ui_mode",
    "price", "price_id", "amount", "unit_amount", "currency", "line_items", "price_data", "mode", "customer",
    "customer_email",
    "discounts", "coupon", "trial_period_days", "trial_end", "metadata", "client_reference_id", "subscription_data",
    "on_behalf_of",
    "payment_method_types", "automatic_tax", "application_fee_percent", "transfer_data", "idempotency_key", "expand",
    "email",
    "flow_data", "configuration", "locale", "__proto__", "Plan", "plan ", "quantity[]", "line_items[0][price]", "",
]  # fmt: skip
STRINGS = [
    "", " ", "Pro", "pro ", " pro", "pro\n", "pro\0", "PRO", "pro,starter", "../pro", "price_pro", "price_starter",
    "*", "null",
    "__proto__", "constructor", "pro' OR 1=1 --", "${jndi:ldap://x}", "{{7*7}}", "%s%n", "\u202eorp", "рrо", "𝒑𝒓𝒐",
    "x" * 255, "x" * 256,
    "x" * 15_000, "[]", "plans.pro", "pro?price=price_x", "pro&price=price_x", "pro#", f"https://{EVIL}/pro",
]  # fmt: skip
QUANTITIES: list[str] = [
    "0", "-1", "-0", "10001", "99999999999999999999", "-99999999999999999999", "1.5", "1e9", "0.9999", "1e-9", "true",
    "false", "null",
    '"1"', '""', "[]", "[1]", "{}", "NaN", "Infinity", "1e400", "2147483648", "9223372036854775808", "0x10", "01",
    "1_000",
]  # fmt: skip


def calls(stripe_side: StandIn) -> list[str]:
    """What Stripe was asked, but for the prices that a service asks for by itself."""
    return [f"{call.method} {call.text}" for call in stripe_side.calls() if not call.path.startswith("/v1/prices")]


def buy(shop: Victim, body: Any, *headers: str, query: str = "", user: str | None = None) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return shop.post(f"/checkout{query}", user or fresh("u"), raw, *headers)


def test_what_is_refused_before_any_call(shop: Victim, stripe_side: StandIn, figure: Figure) -> None:
    """Unknown plans, fields and flows, quantities that can't be: 400 or 422, and Stripe is not asked at all."""
    before = calls(stripe_side)
    plans: list[Any] = [*STRINGS, None, 5, True, ["pro"], {"pro": 1}, 1.5]
    flows: list[Any] = [*STRINGS, *URLS, 1, True, [], {}, "subscription_update_confirm"]
    fields = [{name: value} for name in NAMES for value in (f"https://{EVIL}", 1, None, {"a": EVIL})]
    wishes: list[Any] = [{"plan": plan} for plan in plans]
    wishes += [f'{{"plan": "pro", "quantity": {quantity}}}'.encode() for quantity in QUANTITIES]
    wishes += [{"plan": "pro"} | field for field in fields]
    wishes += [
        b"",
        b"[]",
        b'"pro"',
        b"plan=pro",
        b"\xff",
        b"{",
        b'{"plan": "pro"}' * 2,
        {"plan": "pro", "promotion_code": 5},
    ]
    doors: list[Any] = [*fields, *({"flow": flow} for flow in flows)]
    tried = [(repr(wish), buy(shop, wish)) for wish in wishes]
    tried += [(repr(door), shop.post("/portal", fresh("u"), door)) for door in doors]
    wrong = [(what[:80], answer) for what, answer in tried if answer.status not in (400, 409, 422)]
    assert not wrong, wrong[0]
    assert {answer.header("content-type") for _, answer in tried} == {"application/problem+json"}
    assert calls(stripe_side) == before, "Stripe was asked"
    assert shop.query("SELECT count(*) FROM checkout WHERE url LIKE '%evil%'") == [(0,)]
    figure(17, f"{len(tried)} hostile plans, quantities, fields and flows: 400, 409 or 422, 0 calls to Stripe")


@pytest.mark.parametrize("url", URLS)
def test_no_url_of_a_client_reaches_stripe(shop: Victim, stripe_side: StandIn, url: str) -> None:
    """Whatever place a header or query names: the way back is under APP_URL, and the price is the catalogue's."""
    user = fresh("u")
    plain = url.strip()
    lies = [f"{name}: {plain}" for name in ("Origin", "Referer", "X-Forwarded-Proto", "X-Original-URL", "X-Return-Url")]
    lies += [
        f"X-Forwarded-Host: {EVIL}",
        f"Forwarded: host={EVIL};proto=https",
        f"X-Host: {EVIL}",
        f"X-Forwarded-Server: {EVIL}",
    ]
    query = "?" + "&".join(
        f"{name}={quote(url)}" for name in ("success_url", "cancel_url", "return_url", "next", "price")
    )
    before = len(stripe_side.calls())
    answer = buy(shop, {"plan": "pro", "quantity": 3}, *lies, query=query, user=user)
    assert answer.status == 201, answer
    told = answer.json()
    assert set(told) == {"id", "url", "expires_at"}
    assert told["url"].startswith(stripe_side.url)
    said = " ".join(call.text for call in stripe_side.calls()[before:])
    assert EVIL not in said
    assert "javascript" not in said
    session = stripe_side.get(f"checkout/sessions/{told['id']}")
    assert session["success_url"].startswith(APP)
    assert session["cancel_url"].startswith(APP)
    assert session["client_reference_id"] == user
    assert stripe_side.get(f"customers/{session['customer']}")["metadata"] == {"user_id": user}
    assert "line_items[0][price]=price_pro" in said
    assert "line_items[0][quantity]=3" in said
    assert said.count("line_items") == 2
    portal = shop.post(f"/portal{query}", user, {}, *lies)
    assert portal.status == 201, portal
    said = " ".join(call.text for call in stripe_side.calls()[before:])
    assert f"return_url={APP}?portal=return" in said
    assert EVIL not in said


@pytest.mark.parametrize(("plan", "price"), [("starter", "price_starter"), ("pro", "price_pro")])
@pytest.mark.parametrize("quantity", [1, MAX_QUANTITY])
def test_the_price_is_the_catalogues(shop: Victim, stripe_side: StandIn, plan: str, price: str, quantity: int) -> None:
    """What is sold is the plan's price, as often as was asked for, from one to the most."""
    before = len(stripe_side.calls())
    assert buy(shop, {"plan": plan, "quantity": quantity}).status == 201
    (made,) = [call.text for call in stripe_side.calls()[before:] if call.path == "/v1/checkout/sessions"]
    assert f"line_items[0][price]={price}&" in made
    assert f"line_items[0][quantity]={quantity}&" in made


def test_promotion_codes(shop: Victim, stripe_side: StandIn) -> None:
    """A code goes to Stripe as a code and nothing else: one question, no other path, no other field, and no session."""
    codes = [code for code in STRINGS if 0 < len(code) < 256] + [f"promo_{code}" for code in STRINGS if len(code) < 200]
    codes += [
        "promo_../customers",
        "promo_1/../../charges",
        "promo_1?expand=x",
        "promo_%2e%2e",
        "SAVE&active=false",
        "a[b]=c",
        *URLS,
    ]
    for code in codes:
        user, before = fresh("u"), len(stripe_side.calls())
        answer = buy(shop, {"plan": "pro", "promotion_code": code}, user=user)
        assert answer.status in (400, 422), (code, answer)
        asked = stripe_side.calls()[before:]
        assert len(asked) <= 1, code
        assert all(call.method == "GET" for call in asked)
        if code.startswith("promo_"):
            assert all(call.path == f"/v1/promotion_codes/{code}" for call in asked), (code, asked)
        else:
            assert all(call.path == "/v1/promotion_codes" for call in asked), (code, asked)
        assert shop.query("SELECT count(*) FROM checkout WHERE user_id = ?", user) == [(0,)]
    for body in ({"promotion_code": "x" * 256}, {"promotion_code": ""}, {"promotion_code": ["SAVE"]}):
        wrong: Obj = {"plan": "pro"} | body
        before = len(stripe_side.calls())
        assert buy(shop, wrong).status in (400, 422)
        assert len(stripe_side.calls()) == before
