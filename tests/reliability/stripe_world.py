"""Stripe in the simulation: the sandbox's core without HTTP, what people do to it, and a client that reads it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import msgspec

from interlock.api.sandbox.world import World
from interlock.engine.core.states import Facts
from interlock.engine.errors import StripeRefused, StripeUnavailable
from interlock.engine.wire import objects as wire
from interlock.engine.wire import reading
from interlock.engine.wire.client import Answer, NoSuchObject
from interlock.engine.wire.events import EVENT_TYPES
from tests.reliability.bodies import START, Obj

DAY: Final = 86_400
SECRET: Final = "whsec_simulation_0123456789"
PRICES: Final = ("pro", "team")
LEGACY: Final = "2024-04-10"


class Stripe:
    """The world with a few users, and the history of each subscription's facts."""

    def __init__(self, seed: int, users: int) -> None:
        self.world = World(seed=seed, now=START)
        self.timelines: dict[str, list[Facts]] = {}
        self._seen_events = 0
        product = self._do("POST", "/v1/products", {"name": "Product"})["id"]
        self.prices = [self._price(product, amount) for amount in (1900, 4900)]
        version: Obj = {"api_version": LEGACY} if seed % 3 == 0 else {}
        hook: Obj = {"url": "http://127.0.0.1:9/webhooks", "enabled_events": list(EVENT_TYPES), **version}
        endpoint = self._do("POST", "/v1/webhook_endpoints", hook)
        self.endpoint, self.secret = str(endpoint["id"]), str(endpoint["secret"])
        self.customers = [self._customer(f"u_{number}") for number in range(users)]

    def _price(self, product: str, amount: int) -> str:
        recurring = {"interval": "month"}
        price: Obj = {"product": product, "currency": "usd", "unit_amount": amount, "recurring": recurring}
        return str(self._do("POST", "/v1/prices", price)["id"])

    def _customer(self, user: str) -> str:
        card = "pm_card_visa"
        settings = {"default_payment_method": card}
        what: Obj = {"payment_method": card, "invoice_settings": settings, "metadata": {"user_id": user}}
        return str(self._do("POST", "/v1/customers", what)["id"])

    def _do(self, method: str, path: str, params: Obj | None = None) -> Obj:
        answer = self.world.request(method, path, params)
        assert answer.status == 200, (method, path, answer)
        return answer.body

    def call(self, method: str, path: str, params: Obj | None = None) -> int:
        """Call the API as a merchant's backend; returns the status, Stripe may well refuse."""
        status = self.world.request(method, path, params).status
        self._note_history()
        return status

    def advance(self, to: int) -> None:
        """Let time pass, one happening after the other."""
        while (timer := self.world.next_timer()) is not None and timer[0] <= to:
            self.world.advance(timer[0])
            self._note_history()
        self.world.advance(to)
        self._note_history()

    def _note_history(self) -> None:
        events = list(self.world.all("event"))
        for event in events[self._seen_events :]:
            if event["type"].startswith("customer.subscription."):
                self._note(event["data"]["object"])
        self._seen_events = len(events)
        for subscription in self.world.all("subscription"):
            self._note(subscription)

    def _note(self, body: Obj) -> None:
        facts = facts_in(body)
        timeline = self.timelines.setdefault(facts.subscription_id, [])
        if not timeline or timeline[-1] != facts:
            timeline.append(facts)

    def subscriptions_of(self, user: int) -> list[Obj]:
        """Return a user's subscriptions, oldest first."""
        return [sub for sub in self.world.all("subscription") if sub["customer"] == self.customers[user]]

    def truth(self) -> dict[str, Facts]:
        """Return the facts of every subscription now."""
        return {str(sub["id"]): facts_in(sub) for sub in self.world.all("subscription")}


def facts_in(body: Obj) -> Facts:
    """Read a subscription object as the engine reads Stripe's answers."""
    return reading.facts_of(msgspec.convert(body, wire.Subscription))


class WorldClient:
    """Reads the world as `engine.stripe_client.StripeClient` reads Stripe; `around` is a place for delay and faults."""

    def __init__(self, world: World, around: Callable[[str], Awaitable[None]]) -> None:
        self._world = world
        self._around = around

    async def get(self, path: str, **params: Any) -> Answer:
        """GET a path under `/v1`."""
        await self._around(f"GET {path}")
        answer = self._world.request("GET", f"/v1/{path}", params)
        date = self._world.time
        await self._around("answer")
        if answer.status == 404:
            raise NoSuchObject("Stripe has no such object")
        if answer.status >= 500:
            raise StripeUnavailable("Stripe answered with an error")
        if answer.status >= 400:
            raise StripeRefused(str(answer.body))
        return Answer(json.dumps(answer.body).encode(), date)


Deed = Callable[[Stripe, int, Random], str]
"""Something that a user, the merchant or time does at Stripe; says what it did."""


def _subscribe(stripe: Stripe, user: int, rng: Random) -> str:
    trial: Obj = {"trial_period_days": rng.choice((3, 14))} if rng.random() < 0.4 else {}
    sub: Obj = {"customer": stripe.customers[user], "items": [{"price": rng.choice(stripe.prices)}], **trial}
    sub["metadata"] = {"user_id": f"u_{user}"}
    if rng.random() < 0.2:
        sub |= {"collection_method": "send_invoice", "days_until_due": 7}
    return f"subscribes{' with a trial' if trial else ''}: {stripe.call('POST', '/v1/subscriptions', sub)}"


def _changed(what: str, params: Callable[[Stripe, Random], Obj]) -> Deed:
    def deed(stripe: Stripe, user: int, rng: Random) -> str:
        subs = stripe.subscriptions_of(user)
        if not subs:
            return _subscribe(stripe, user, rng)
        status = stripe.call("POST", f"/v1/subscriptions/{subs[-1]['id']}", params(stripe, rng))
        return f"{what}: {status}"

    return deed


def _change_items(stripe: Stripe, user: int, rng: Random) -> str:
    subs = stripe.subscriptions_of(user)
    if not subs:
        return _subscribe(stripe, user, rng)
    item: Obj = {"id": subs[-1]["items"]["data"][0]["id"], "quantity": rng.randrange(1, 4)}
    status = stripe.call("POST", f"/v1/subscriptions/{subs[-1]['id']}", {"items": [item]})
    return f"takes {item['quantity']}: {status}"


def _on_last(what: str, method: str, tail: str, params: Obj) -> Deed:
    def deed(stripe: Stripe, user: int, _rng: Random) -> str:
        subs = stripe.subscriptions_of(user)
        status = (
            stripe.call(method, f"/v1/subscriptions/{subs[-1]['id']}{tail}", params) if subs else "none to do it to"
        )
        return f"{what}: {status}"

    return deed


def _card(card: str) -> Deed:
    def deed(stripe: Stripe, user: int, _rng: Random) -> str:
        customer = stripe.customers[user]
        method = stripe.world.request("POST", f"/v1/payment_methods/{card}/attach", {"customer": customer}).body.get(
            "id"
        )
        settings = {"invoice_settings": {"default_payment_method": method}}
        return f"takes the card {card}: {stripe.call('POST', f'/v1/customers/{customer}', settings)}"

    return deed


def _pay(stripe: Stripe, user: int, _rng: Random) -> str:
    its = [bill for bill in stripe.world.all("invoice") if bill["customer"] == stripe.customers[user]]
    owed = [bill for bill in its if bill["status"] == "open"]
    if not owed:
        return "pays: nothing is open"
    path = f"/v1/invoices/{owed[-1]['id']}/pay"
    return f"pays: {stripe.call('POST', path)}"


DEEDS: Final[tuple[Deed, ...]] = (
    _subscribe,
    _change_items,
    _changed("cancels at the period's end", lambda _, rng: {"cancel_at_period_end": True}),
    _changed("takes the cancellation back", lambda _, rng: {"cancel_at_period_end": False}),
    _changed("pauses collection", lambda _, rng: {"pause_collection": {"behavior": "void"}}),
    _changed("ends the pause of collection", lambda _, rng: {"pause_collection": ""}),
    _changed("ends the trial now", lambda _, rng: {"trial_end": "now"}),
    _on_last("cancels now", "DELETE", "", {}),
    _on_last("pauses", "POST", "/pause", {}),
    _on_last("resumes", "POST", "/resume", {}),
    _card("pm_card_chargeCustomerFail"),
    _card("pm_card_visa"),
    _pay,
)
