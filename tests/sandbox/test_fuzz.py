"""What no client would send, on every route: whatever comes, it is never the stand-in's own fault."""

from __future__ import annotations

import random
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from typing_extensions import is_typeddict

from interlock.api.sandbox import World
from interlock.api.sandbox.core.params import accepted, annotated
from interlock.api.sandbox.core.shapes import NAMES
from interlock.api.sandbox.routes import ROUTES, Route
from tests.sandbox.bench import DAY, HOUR, NOW
from tests.sandbox.live import KEY, Live

Obj = dict[str, Any]

CALLS, WAITS = 4000, 60
INTEGERS = ("0", "1", "2", "30", "-1", "801", "1000000", str(NOW - DAY), str(NOW + 5 * DAY), str(NOW + 400 * DAY),
            "99999999999999", "1" + "0" * 20)  # fmt: skip
TEXTS = ("", "x", "1", "-1", "99999999999", "true", "false", "now", "usd", "eur", "month", "nan", "1e400", "é\u0000",
         "pm_card_visa", "pm_card_chargeCustomerFail", "tok_visa", "send_invoice", "http://127.0.0.1:1/")  # fmt: skip
# Given more often than by chance, or little would come further than "Missing required param".
REQUIRED = frozenset(
    {"customer", "items", "price", "currency", "product", "amount", "unit_amount", "mode", "line_items", "success_url",
     "url", "type", "recurring", "interval", "subscription", "name", "coupon", "percent_off", "promotion", "quantity"}
)  # fmt: skip
LIKELY = {"currency": ("usd",), "mode": ("subscription",), "quantity": ("1", "2", "7"), "interval": ("month", "year")}
EXPANDED = (
    "customer", "data.customer", "latest_invoice", "latest_invoice.payments", "items.data.price.product", "payments",
    "payment_intent", "data.payment_intent", "discounts", "charge", "status", "lines", "a.b.c.d.e", "",
)  # fmt: skip
# What stands in a path before an id → the kind of object.
KINDS = {"checkout/sessions": "checkout.session", "billing_portal/configurations": "billing_portal.configuration",
         "billing/meters": "billing.meter", "test_helpers/test_clocks": "test_helpers.test_clock"}  # fmt: skip


class Fuzz:
    """Calls by a seed; the ids in them are mostly of things that are there."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World(seed=seed, now=NOW)
        self.stock()

    def post(self, path: str, **params: Any) -> str:
        """Something to begin with."""
        answer = self.world.request("POST", f"/v1/{path}", params)
        assert answer.status == 200, answer.body
        return str(answer.body["id"])

    def stock(self) -> None:
        """One or more of everything."""
        product = self.post("products", name="Pro")
        prices = [self.post("prices", product=product, currency="usd", unit_amount=1000 * n,
                            recurring={"interval": "month"}) for n in (1, 2)]  # fmt: skip
        self.post("prices", product=product, currency="usd", unit_amount=5)
        coupon = self.post("coupons", percent_off=10)
        self.post("promotion_codes", promotion={"type": "coupon", "coupon": coupon}, code="TEN")
        customer = self.post("customers", payment_method="pm_card_visa",
                             invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
        self.post(f"customers/{customer}/sources", source="tok_visa")
        for days in (0, 5):
            self.post("subscriptions", customer=customer, items=[{"price": prices[0]}], trial_period_days=days)
        self.post("checkout/sessions", mode="subscription", customer=customer, success_url="http://127.0.0.1:1/",
                  line_items=[{"price": prices[0], "quantity": 1}])  # fmt: skip
        self.post("billing_portal/configurations", features={})
        self.post("billing_portal/sessions", customer=customer)
        self.post("invoiceitems", customer=customer, amount=100, currency="usd")
        self.post("invoices", customer=customer)
        self.post("webhook_endpoints", url="http://127.0.0.1:1/", enabled_events=["*"], api_version="2024-06-20")
        self.post("test_helpers/test_clocks", frozen_time=NOW)
        sub = self.post("subscriptions", customer=customer, items=[{"price": prices[1]}])
        self.post("subscription_schedules", from_subscription=sub)
        self.post("setup_intents", customer=customer)
        self.post("payment_intents", amount=100, currency="usd")
        self.post("billing/meters", display_name="m", event_name="m", default_aggregation={"formula": "sum"})

    # -- parameters --------------------------------------------------------------------------------

    def scrap(self) -> Any:
        """Anything at all."""
        ids = [id_ for table in self.world.tables.values() for id_ in list(table)[:4]]
        kinds: tuple[Any, ...] = (self.dice.choice(TEXTS), self.dice.choice(INTEGERS), self.dice.choice(ids))
        return self.dice.choice((*kinds, *kinds, ["x"], {"a": "b"}, {"a": {"b": "c"}}))

    def text(self) -> str:
        """A text, most often an id."""
        table = self.dice.choice([table for table in self.world.tables.values() if table])
        return self.dice.choice((*TEXTS, *list(table)[-4:], *list(table)[:4]))

    def value(self, hint: Any, depth: int) -> Any:
        """Something for a parameter of this type, and at times not of it."""
        if self.dice.random() < 0.03:
            return self.scrap()
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Union or origin is types.UnionType:
            return self.value(self.dice.choice(args), depth)
        if origin is Literal:
            return self.dice.choice(args)
        if origin is list:
            return [self.value(args[0], depth + 1) for _ in range(self.dice.randint(0, 2))]
        if is_typeddict(hint):
            return self.some(annotated(hint), depth + 1)
        if origin is dict:
            return {"key": self.text()}
        return self.dice.choice({bool: ("true", "false"), int: INTEGERS, float: ("0", "1.5", "1e400", "nan")}.get(
            hint, (self.text(),)))  # fmt: skip

    def some(self, hints: Obj, depth: int = 0) -> Obj:
        """Some of these parameters."""
        if depth > 4:
            return {}
        names = set(self.dice.sample(sorted(hints), self.dice.randint(0, min(len(hints), 3))))
        names |= {name for name in sorted(REQUIRED & set(hints)) if self.dice.random() < 0.8}
        return {name: self.named(name, hints[name], depth) for name in sorted(names)}

    def named(self, name: str, hint: Any, depth: int) -> Any:
        """Something for this parameter: where it names a thing, mostly one that is there."""
        there = list(self.world.tables.get(NAMES.get(name, ""), {}))
        if name == "expand":
            return self.dice.choices(EXPANDED, k=2)
        if there and typing.get_origin(hint) is not list and self.dice.random() < 0.8:
            return self.dice.choice(there[-6:])
        if name in LIKELY and self.dice.random() < 0.8:
            return self.dice.choice(LIKELY[name])
        return self.value(hint, depth)

    def path(self, route: Route) -> str:
        """The route's path, with ids of what is there."""
        parts = route.path.split("/")
        for at, part in enumerate(parts):
            if part == "*":
                plural = "/".join(parts[2:at])
                kind = KINDS.get(plural, {"sources": "card"}.get(parts[at - 1], parts[at - 1].removesuffix("s")))
                parts[at] = self.dice.choice([*list(self.world.tables.get(kind, {}))[-6:], "nothing"])
        return "/".join(parts)

    def calls(self, count: int) -> Iterator[tuple[str, str, Obj]]:
        """So many calls, with all that came before already done."""
        fewer = [route for route in ROUTES if route.method != "DELETE"]
        for _ in range(count):
            route = self.dice.choice(ROUTES if self.dice.random() < 0.1 else fewer)
            hints = accepted(route.endpoint) if route.endpoint else {}
            yield route.method, self.path(route), self.some(hints) | ({} if hints else {"source": self.scrap()})


def check_calls(seed: int, count: int = CALLS) -> set[int]:
    """Make the calls; a mistake of ours would come out as an exception."""
    fuzz, seen = Fuzz(seed), set[int]()
    for n, (method, path, params) in enumerate(fuzz.calls(count)):
        try:
            seen.add(fuzz.world.request(method, path, params, version=fuzz.dice.choice((None, "2024-06-20"))).status)
            if n % (count // WAITS) == 0:
                fuzz.world.advance(fuzz.world.time + fuzz.dice.choice((HOUR, DAY, 5 * DAY)))
        except Exception as error:
            raise AssertionError(f"seed {seed}, call {n}: {method} {path} {params}") from error
    return seen


@pytest.mark.parametrize("seed", [1, 2])
def test_no_parameter_breaks_it(seed: int) -> None:
    """Whatever parameters an endpoint gets, and whenever: an answer, never a 500."""
    assert {200, 400, 404} <= check_calls(seed) <= {200, 400, 401, 402, 404}


# -- over HTTP -------------------------------------------------------------------------------------

PANEL: dict[str, tuple[str, ...]] = {
    "next_payment": ("outcome", "customer", "user_id"),
    "faults": ("kind", "status", "timeout", "slow", "times", "retry_after", "path_prefix", "method"),
    "account": ("retries_end", "first_failure_pause", "retries", "auto_resume"),
    "mischief": ("duplicate", "reorder", "delay", "drop", "twin", "seed"),
    "clock/advance": ("seconds", "to", "customer", "subscription"),
    "deliveries/resend": ("event",),
    "checkout/{checkout}/pay": ("card", "email"),
    "checkout/{checkout}/authenticate": ("succeed",),
    "checkout/{checkout}/promotion_code": ("code",),
    "portal/{portal}/payment_method": ("card",),
    "portal/{portal}/cancel": ("subscription", "at_period_end"),
    "portal/{portal}/update": ("subscription", "price", "quantity"),
    "portal/{portal}/pay": ("invoice",),
    "invoice/{invoice}/pay": ("card",),
}  # fmt: skip
SCRAPS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.5, 1e20, 10**20, "", "x", "2", "4242424242424242", "succeed", "é", [], ["x"], {},
    {"a": 1},
)  # fmt: skip


def test_no_json_breaks_the_panel() -> None:
    """Whatever JSON a page or the panel sends: an answer in Stripe's shape, never a 500."""
    dice, live = random.Random(3), Live()
    try:
        v1 = live.stripe.v1
        customer = v1.customers.create({"payment_method": "pm_card_visa",
                                        "invoice_settings": {"default_payment_method": "pm_card_visa"}})  # fmt: skip
        sub = v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_pro"}]})
        session = v1.checkout.sessions.create({"mode": "subscription", "success_url": "http://127.0.0.1:1/",
                                               "line_items": [{"price": "price_pro", "quantity": 1}]})  # fmt: skip
        portal = v1.billing_portal.sessions.create({"customer": customer.id})
        ids = {"checkout": session.id, "portal": portal.id, "invoice": str(sub.latest_invoice)}
        known = {"subscription": sub.id, "customer": customer.id, "price": "price_pro", "invoice": ids["invoice"]}
        for _ in range(400):
            path = dice.choice(sorted(PANEL))
            body = {name: known[name] if name in known and dice.random() < 0.6 else dice.choice(SCRAPS)
                    for name in PANEL[path] if dice.random() < 0.8}  # fmt: skip
            answer = live.http.post("/_sandbox/" + path.format(**ids), json=body)
            assert answer.status_code < 500, (path, body, answer.text)
            assert "status_code" not in answer.json(), (path, body, answer.text)
    finally:
        live.close()


def test_what_nobody_foresaw(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of ours is Stripe's own 500, an `api_error` with a request id, and stands in the log."""

    def mistaken(*_args: Any, **_options: Any) -> Any:
        raise KeyError("no such thing")

    live = Live()
    try:
        live.panel("faults", {"status": "no number"}, 400)
        monkeypatch.setattr(live.box.world, "request", mistaken)
        monkeypatch.setattr(live.box.faults, "add", mistaken)
        api = live.http.get("/v1/customers", headers={"Authorization": f"Bearer {KEY}"})
        panel = live.http.post("/_sandbox/faults", json={"status": 500})
        for answer in (api, panel):
            assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")
        assert api.headers["request-id"].startswith("req_")
        assert caplog.text.count("no such thing") >= 2
    finally:
        live.close()
