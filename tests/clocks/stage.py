"""A stand-in Stripe and the real service, both on loopback, and a life that is lived on one test clock.

Stripe is only spoken to through the `stripe` SDK and through what its pages do; the service only through its
routes, and through the engine's `reconcile` and `sweep`, opened beside it as the command opens it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import httpx
import pytest
import stripe

from interlock.api.settings import load_settings
from interlock.engine.flow.sweep import Difference
from interlock.engine.interlock import Interlock
from interlock.engine.wire.events import EVENT_TYPES
from tests.kit.service import Service
from tests.kit.settings import ADMIN_TOKEN, environment
from tests.sandbox.live import Live

Obj = dict[str, Any]
T = TypeVar("T")

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
PATIENCE: Final = 20.0
"""Seconds of a busy machine; what is promised in seconds is measured elsewhere."""
PLANS: Final = """
[plans.pro]
name = "Pro"
price = "price_pro"
product = "prod_pro"
features = ["export"]

[plans.team]
name = "Team"
lookup_key = "team_yearly"
"""
REASONS: Final = {
    "none": "none", "trialing": "trialing", "active": "paid", "past_due": "grace_period", "unpaid": "unpaid",
    "paused": "paused", "canceled": "canceled", "incomplete": "incomplete", "incomplete_expired": "expired",
}  # fmt: skip


class After(NamedTuple):
    """So many days after the test clock's time."""

    days: int


class Stage:
    """Both servers; Stripe's signed webhooks go to the service."""

    def __init__(self, folder: Path, plans: str = PLANS, **settings: str) -> None:
        self.live = Live()
        self.v1: Any = self.live.stripe.v1
        endpoint = self.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": EVENT_TYPES})
        (folder / "plans.toml").write_text(plans, "utf-8")
        given = {"STRIPE_API_BASE": self.live.url, "STRIPE_WEBHOOK_SECRET": endpoint.secret} | settings
        self.settings = environment(folder, **given)
        self.service = Service(self.settings)
        self.service.start()
        self.v1.webhook_endpoints.update(endpoint.id, {"url": f"{self.service.url}/webhooks/stripe"})

    def close(self) -> None:
        self.live.close()
        self.service.stop()

    def beside(self, do: Callable[[Interlock], Awaitable[T]]) -> T:
        """Open the engine beside the running service, as a command does, and do this with it."""

        async def run() -> T:
            interlock = await Interlock.open(load_settings(self.settings).engine_config(), service=False)
            try:
                return await do(interlock)
            finally:
                await interlock.close()

        return asyncio.run(run())

    def differences(self, users: list[str]) -> list[Difference]:
        """Compare what is stored of these users with Stripe, changing nothing."""

        async def compare(engine: Interlock) -> list[Difference]:
            found = [await engine.reconcile(user_id=user, everything=False, dry_run=True) for user in users]
            return [difference for each in found for difference in each]

        return self.beside(compare)

    def catch_up(self) -> None:
        """Turn Stripe's own clock by what a delivery may be late: all goes out now."""
        answer = self.live.http.post("/_sandbox/clock/advance", json={"seconds": 40}, timeout=5 * PATIENCE)
        assert answer.status_code == 200, answer.text

    def quiet(self) -> None:
        """Wait until every delivery was taken and nothing is left to be asked of Stripe."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if not self.live.box.world.outbox.pending and not self._questions():
                return
            time.sleep(0.02)
        raise AssertionError(f"not quiet: {len(self.live.box.world.outbox.pending)} deliveries, {self._questions()}")

    def _questions(self) -> float:
        answer = self.service.get("/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        (line,) = [each for each in answer.text.splitlines() if each.startswith("interlock_pending_questions ")]
        return float(line.split()[1])


class Life:
    """One user, one customer on one test clock, one subscription; what is seen of it is read on both sides."""

    def __init__(self, stage: Stage, user: str, *, wait: bool) -> None:
        self.stage, self.user, self.wait = stage, user, wait
        self.v1 = stage.v1
        self.now = 0
        self.clock = self.customer = self.session = self.id = ""
        self.seen = ["none"]
        self.due: Obj = {}

    # -- at Stripe ---------------------------------------------------------------------------------

    def begin(self, card: str | None = "pm_card_visa", *, days_ago: int = 0, user_on_customer: bool = True) -> None:
        """A test clock, and a customer of this user on it, with this card as the default."""
        self.now = int(time.time()) - days_ago * DAY
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": self.now}).id
        given: Obj = {"test_clock": self.clock, "email": f"{self.user}@example.com"}
        if user_on_customer:
            given["metadata"] = {"user_id": self.user}
        if card:
            given |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        self.customer = self.v1.customers.create(given).id

    def subscribe(self, *, refused: bool = False, free: bool = False, fee: int = 0, **params: Any) -> None:
        """Subscribe; `free` by a coupon, with a `fee` up front, or `refused` as the card is."""
        given: Obj = {"customer": self.customer, "items": [{"price": "price_pro"}]} | self._timed(params)
        if free:
            given["discounts"] = [{"coupon": self.v1.coupons.create({"percent_off": 100, "duration": "forever"}).id}]
        if fee:
            given["add_invoice_items"] = [{"price": self._price(fee)}]
        with _refusal(refused):
            self.id = self.v1.subscriptions.create(given).id

    def checkout(self, **params: Any) -> None:
        """Open a checkout session."""
        self.session = self.v1.checkout.sessions.create({
            "mode": "subscription", "customer": self.customer, "client_reference_id": self.user,
            "line_items": [{"price": "price_pro", "quantity": 1}], "success_url": "http://app.example/ok", **params,
        }).id  # fmt: skip

    def press(self, action: str, body: Obj, status: int = 200) -> None:
        """Press a button of the checkout page, and take up the subscription that it made."""
        self.stage.live.panel(f"checkout/{self.session}/{action}", body, status)
        for sub in self.v1.subscriptions.list({"customer": self.customer, "status": "all"}).data:
            self.id = sub.id

    def portal(self, action: str, body: Obj) -> None:
        """Open the portal, and press a button there."""
        session = self.v1.billing_portal.sessions.create({"customer": self.customer})
        self.stage.live.panel(f"portal/{session.id}/{action}", body)

    def authenticate(self, succeed: bool) -> None:
        """Answer 3-D Secure on the latest invoice's page."""
        body = {"succeed": succeed}
        self.stage.live.panel(f"invoice/{self.sub.latest_invoice}/authenticate", body, 200 if succeed else 402)

    @property
    def sub(self) -> Any:
        return self.v1.subscriptions.retrieve(self.id)

    def update(self, **params: Any) -> None:
        self.v1.subscriptions.update(self.id, self._timed(params))

    def change(self, *, quantity: int = 1, yearly: int = 0, **params: Any) -> None:
        """Change the one item: how many, or to a yearly price."""
        (item,) = self.sub["items"].data
        new = {"price": self._price(yearly, recurring={"interval": "year"})} if yearly else {"quantity": quantity}
        self.update(items=[{"id": item.id, **new}], **params)

    def cancel(self) -> None:
        self.v1.subscriptions.cancel(self.id)

    def pause(self) -> None:
        """Pause; what is left of the period is not given back, so that coming back costs something."""
        bill_for = {"unused_time_from": {"type": "none"}}
        self.v1.subscriptions.pause(self.id, {"type": "subscription", "bill_for": bill_for})

    def resume(self, behavior: str = "", *, version: str | None = None, **params: Any) -> None:
        given = params | ({"payment_behavior": behavior} if behavior else {})
        self.v1.subscriptions.resume(self.id, given, {"stripe_version": version} if version else {})

    def pay(self, card: str = "pm_card_visa", *, refused: bool = False) -> None:
        """Pay the latest invoice, with the default card where none is named."""
        with _refusal(refused):
            self.v1.invoices.pay(self.sub.latest_invoice, {"payment_method": card} if card else {})

    def pay_outside(self) -> None:
        self.v1.invoices.pay(self.sub.latest_invoice, {"paid_out_of_band": True})

    def confirm(self) -> None:
        """Confirm the intent that was prepared for the latest invoice."""
        (payment,) = self.v1.invoice_payments.list({"invoice": self.sub.latest_invoice}).data
        self.v1.payment_intents.confirm(payment.payment.payment_intent, {"payment_method": "pm_card_visa"})

    def void(self) -> None:
        self.v1.invoices.void_invoice(self.sub.latest_invoice)

    def forgive(self) -> None:
        self.v1.invoices.mark_uncollectible(self.sub.latest_invoice)

    def invoice_is(self, status: str) -> None:
        assert self.v1.invoices.retrieve(self.sub.latest_invoice).status == status

    def card(self, card: str) -> None:
        """Another default card for whatever is charged from now on."""
        method = self.v1.payment_methods.attach(card, {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})

    def detach(self) -> None:
        """Take the only card away."""
        (method,) = self.v1.payment_methods.list({"customer": self.customer}).data
        self.v1.payment_methods.detach(method.id)

    def delete_customer(self) -> None:
        self.v1.customers.delete(self.customer)

    def _price(self, amount: int, **more: Any) -> str:
        given = {"product": "prod_pro", "currency": "usd", "unit_amount": amount} | more
        return str(self.v1.prices.create(given).id)

    def _timed(self, params: Obj) -> Obj:
        """Put times in the place of `After`."""
        timed: Obj = {}
        for name, value in params.items():
            if isinstance(value, After):
                timed[name] = self.now + value.days * DAY
            else:
                timed[name] = self._timed(cast("Obj", value)) if isinstance(value, dict) else value
        return timed

    # -- time --------------------------------------------------------------------------------------

    def to(self, moment: int) -> None:
        """Advance the test clock, and wait until Stripe says that it is ready."""
        self.now = moment
        self.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": moment})
        until = time.monotonic() + PATIENCE
        while self.v1.test_helpers.test_clocks.retrieve(self.clock).status != "ready":
            assert time.monotonic() < until, "the clock does not become ready"
            time.sleep(0.01)

    def on(self, days: float = 0, hours: float = 0) -> None:
        """Advance by this much."""
        self.to(self.now + int(days * DAY + hours * HOUR))

    def renewal(self, hours: int = 1) -> None:
        """Advance past the period's end, and the hour for which the draft waits."""
        self.to(_period_end(self.sub) + hours * HOUR)

    # -- read on both sides ------------------------------------------------------------------------

    def expect(self, state: str, reason: str = "") -> None:
        """Stripe says this status; the service comes to show it, with this reason of access and Stripe's dates."""
        self.seen.append(state)
        self.due = {"state": state, "reason": reason or REASONS[state]}
        if self.id:
            sub = self.sub
            assert sub.status == state, (sub.status, state)
            self.due |= _dates(sub)
        if self.wait:
            until = time.monotonic() + PATIENCE
            while wrong := self.wrong():
                assert time.monotonic() < until, wrong
                time.sleep(0.05)

    def wrong(self) -> Obj:
        """What is shown otherwise than it was last expected: field → (shown, due)."""
        shown = self._get("/subscription").json()
        shown["reason"] = shown["access"]["reason"]
        return {name: (shown[name], value) for name, value in self.due.items() if shown[name] != value}

    def history(self) -> list[Obj]:
        """The user's decisions, oldest first."""
        entries: list[Obj] = []
        path: str | None = "/subscription/history?limit=100"
        while path:
            page = self._get(path).json()
            entries += page["items"]
            path = f"/subscription/history?limit=100&after={page['next']}" if page["next"] else None
        return entries[::-1]

    def _get(self, path: str) -> httpx.Response:
        answer = self.stage.service.get(path, self.user)
        assert answer.status_code == 200, answer.text
        return answer


def _refusal(expected: bool) -> AbstractContextManager[object]:
    return pytest.raises(stripe.CardError) if expected else nullcontext()


def _period_end(sub: Any) -> int:
    return min(int(item.current_period_end) for item in sub["items"].data)


def _dates(sub: Any) -> Obj:
    return {
        "subscription_id": sub.id, "current_period_end": _text(_period_end(sub)), "trial_end": _text(sub.trial_end),
        "cancel_at": _text(sub.cancel_at), "collection_paused": sub.pause_collection is not None,
    }  # fmt: skip


def _text(moment: int | None) -> str | None:
    """A time as the API shows it."""
    return None if moment is None else dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
