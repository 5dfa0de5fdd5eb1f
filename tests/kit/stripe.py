"""The stand-in Stripe on a port of its own, and a test's ways to it.

A fault is for the calls that bear a mark somewhere (key, path, parameters), so that many cases can run side by side
against one Stripe.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import httpx
import stripe
import uvicorn

from interlock.api.sandbox import RunningWorld, World, create_sandbox
from interlock.api.sandbox.http.faults import Call, Fault
from tests.kit.bodies import T0, Sub
from tests.kit.settings import WEBHOOK_SECRET, free_port

Obj = dict[str, Any]
TELLER: Final = "sk_test_of_the_one_who_tells_the_truth"
"""The test's own key: its calls are not counted."""
MANY_TIMES: Final = 10_000
SOLD: Final[list[Obj]] = [
    {"key": "starter", "name": "Starter", "price": "price_starter", "amount": 900},
    {"key": "pro", "name": "Pro", "price": "price_pro", "amount": 2900, "trial_days": 14},
    {"key": "team", "name": "Team", "lookup_key": "team_monthly", "amount": 9900},
]


class Spoil:
    """A fault for the calls that bear a mark, until its times are used up or it is ended."""

    def __init__(self, box: RunningWorld, fault: Fault) -> None:
        self._box = box
        self._fault = fault
        self._before = len(box.calls)

    def end(self) -> int:
        """No more of it; returns how many calls it was for."""
        self._box.faults.remove(self._fault)
        return sum(map(self._fault.meets, list(self._box.calls)[self._before :]))


class StandIn:
    """A running stand-in Stripe, and the test's own ways to it: Stripe's API, the SDK, and the control panel."""

    def __init__(
        self,
        webhook_url: str = "",
        *,
        plans: Iterable[Obj] = SOLD,
        secret: str = WEBHOOK_SECRET,
        app_url: str = "http://localhost:3000",
        data: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = create_sandbox(
            public_url=self.url, plans=list(plans), webhook_url=webhook_url, webhook_secret=secret,
            app_url=app_url, data=data,
        )  # fmt: skip
        self.box: RunningWorld = self.app.state.sandbox
        self.box.calls = deque()  # all of them, not only the newest
        self._bound = socket.create_server(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self.app, log_level="critical", ws="none", date_header=False, lifespan="on", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False, verify=False)
        self._key = {"Authorization": f"Bearer {TELLER}"}
        self._heard: str | None = None
        while not self._server.started:
            assert self._thread.is_alive(), "the stand-in could not start"
            time.sleep(0.005)

    @functools.cached_property
    def stripe(self) -> stripe.StripeClient:
        """The SDK, speaking to it."""
        return stripe.StripeClient(TELLER, base_addresses={"api": self.url})

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve(sockets=[self._bound]))

    def close(self) -> None:
        """End cleanly; all that runs must have ended."""
        self.back()
        self.http.close()
        self._server.should_exit = True
        self._thread.join(15)
        self._bound.close()
        assert not self._thread.is_alive(), "the stand-in does not stop"

    def spoil(
        self, kind: str, mark: str, method: str, path: str, *, times: int = MANY_TIMES, value: Any = True
    ) -> Spoil:
        """Spoil the next calls of a path that bear the mark; the calls of the test itself bear `TELLER`."""
        given = {kind: value, "mark": mark, "method": method, "path_prefix": f"/v1/{path}", "times": times}
        return Spoil(self.box, self.box.faults.add(given))

    def calls(self, mark: str = "", method: str = "", path: str = "") -> list[Call]:
        """The calls so far that bear a mark, but for the test's own."""
        theirs = [call for call in list(self.box.calls) if TELLER not in call.text]
        return [call for call in theirs if mark in call.text and call.method.startswith(method) and path in call.path]

    def away(self) -> None:
        """Answer 503 to every call, until `back`."""
        self.box.faults.add({"status": 503, "times": MANY_TIMES})

    def back(self) -> None:
        """No more faults."""
        self.box.faults.clear()

    def panel(self, path: str, body: Obj | None = None, status: int = 200) -> Obj:
        """Do something that no API does: pay a checkout, turn the clock, …"""
        answer = self.http.post(f"/_sandbox/{path}", json=body or {})
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    def quiet(self) -> None:
        """Wait until everything emitted was delivered."""
        until = time.monotonic() + 20
        while self.box.world.outbox.pending:
            assert time.monotonic() < until, f"still to be delivered: {self.box.world.outbox.pending}"
            time.sleep(0.005)

    # -- what is so at Stripe, without a way that led there -------------------------------------------

    def is_now(self, *subs: Sub | Obj, user_of_customer: str | None = None) -> None:
        """Say how subscriptions are, whatever was so before; their customers name a user where one is given.

        A `Sub` becomes an object as the stand-in would show it, in the newest version; others are kept as they are.
        """
        held = [obj for sub in subs for obj in _kept(sub, user_of_customer)]
        asyncio.run_coroutine_threadsafe(self._hold(held, anew=user_of_customer is not None), self._loop).result(20)

    async def _hold(self, held: list[Obj], *, anew: bool) -> None:
        for obj in held:
            table = self.box.world.tables.setdefault(obj["object"], {})
            if obj["object"] == "subscription" or anew or obj["id"] not in table:
                table[obj["id"]] = obj

    # -- what the test does at Stripe, and sees there -----------------------------------------------

    def get(self, path: str, **params: Any) -> Obj:
        """Look at something."""
        answer = self.http.get(f"/v1/{path}", params=params, headers=self._key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **params: Any) -> Obj:
        """Change something; nested names are written as Stripe's forms are, with two underscores for a step."""
        form = {_form_name(name): value for name, value in params.items()}
        answer = self.http.post(f"/v1/{path}", data=form, headers=self._key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def cancel(self, subscription_id: str) -> Obj:
        """End a subscription at once."""
        return self.http.delete(f"/v1/subscriptions/{subscription_id}", headers=self._key).json()

    def everything(self, path: str, **params: Any) -> list[Obj]:
        """Every object of a list, newest first."""
        found: list[Obj] = []
        after: Obj = {}
        while True:
            page = self.get(path, limit=100, **params, **after)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"starting_after": found[-1]["id"]}

    def news(self) -> list[Obj]:
        """The events since the last call, oldest first."""
        found: list[Obj] = []
        while True:
            before = {"ending_before": self._heard} if self._heard else {}
            page = self.get("events", limit=100, **before)
            found += reversed(page["data"])
            if page["data"]:
                self._heard = page["data"][0]["id"]
            if not page["has_more"] or not before:
                return found

    def subscribe(self, user: str, *, card: str = "pm_card_visa", price: str = "price_pro") -> Obj:
        """Let a user have a customer with a card, and a subscription."""
        customer = self.post("customers", metadata__user_id=user)
        method = self.post(f"payment_methods/{card}/attach", customer=customer["id"])
        return self.post(
            "subscriptions",
            customer=customer["id"],
            items__0__price=price,
            default_payment_method=method["id"],
            metadata__user_id=user,
        )


@functools.cache
def _specimens() -> tuple[Obj, Obj, Obj]:
    """A subscription, its customer and its invoice, as a stand-in makes them."""
    world = World(seed=1, now=T0)
    ask = functools.partial(world.request, "POST")
    product = ask("/v1/products", {"name": "Pro"}).body["id"]
    sold = {"product": product, "currency": "usd", "unit_amount": 2900, "recurring": {"interval": "month"}}
    price = ask("/v1/prices", sold).body["id"]
    customer = ask("/v1/customers", {}).body
    card = ask("/v1/payment_methods/pm_card_visa/attach", {"customer": customer["id"]}).body["id"]
    given = {"customer": customer["id"], "items": [{"price": price}], "default_payment_method": card}
    sub = ask("/v1/subscriptions", given).body
    invoice = world.request("GET", f"/v1/invoices/{sub['latest_invoice']}").body
    return sub, customer, invoice


def _kept(sub: Sub | Obj, user: str | None) -> list[Obj]:
    """The objects that make it so: the subscription, its customer, and its latest invoice, of which nothing is told."""
    example, customer, invoice = copy.deepcopy(_specimens())
    told = sub if isinstance(sub, dict) else example | sub.json() | {"billing_mode": example["billing_mode"]}
    if isinstance(sub, Sub):
        item = example["items"]["data"][0]
        for line in told["items"]["data"]:
            line |= item | line | {"price": item["price"] | line["price"], "subscription": sub.id}
    customer |= {"id": told["customer"], "metadata": {"user_id": user} if user else {}}
    invoice["parent"]["subscription_details"]["subscription"] = told["id"]
    invoice |= {"id": told["latest_invoice"], "customer": told["customer"], "status": "draft"}
    return [told, customer, invoice]


def _form_name(name: str) -> str:
    first, *rest = name.split("__")
    return first + "".join(f"[{part}]" for part in rest)
