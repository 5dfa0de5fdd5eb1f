"""The stand-in Stripe on a port of its own, behind a gate that counts each call and spoils the answers it is told to.

The sandbox has faults of its own (`Faults`); what it has not (a wrong object, half an answer, one that comes too
late) the gate adds.  A fault here is for the calls that bear a mark somewhere (key, path, parameters), so that
many cases can run side by side against one Stripe.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import httpx
import stripe
import uvicorn
from litestar.types import Receive, Scope, Send

from interlock.api.sandbox import RunningWorld, World, create_sandbox
from interlock.api.sandbox.http.face import Face
from tests.kit.bodies import T0, Sub
from tests.kit.settings import WEBHOOK_SECRET, free_port

Obj = dict[str, Any]
TELLER: Final = "sk_test_of_the_one_who_tells_the_truth"
"""The test's own key: its calls are neither counted nor spoiled."""
SOLD: Final[list[Obj]] = [
    {"key": "starter", "name": "Starter", "price": "price_starter", "amount": 900},
    {"key": "pro", "name": "Pro", "price": "price_pro", "amount": 2900, "trial_days": 14},
    {"key": "team", "name": "Team", "lookup_key": "team_monthly", "amount": 9900},
]


class Call(NamedTuple):
    """One call of Stripe's API; `text` is all that a mark is looked for in."""

    at: float
    method: str
    path: str
    text: str


@dataclass
class Spoil:
    """A fault for the next `times` calls of a method and path that bear the mark."""

    kind: str
    mark: str
    method: str
    path: str
    times: int
    value: Any


class Gate:
    """ASGI: counts, spoils, and hands on to the sandbox."""

    def __init__(self, app: Any, box: RunningWorld) -> None:
        self.calls: list[Call] = []
        self.spoils: list[Spoil] = []
        self.lit = asyncio.Event()
        """While it is not lit nobody is answered."""
        self.lit.set()
        self._app = app
        self._face = Face(box)
        self._box = box

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said: list[bytes] = [] if scope["type"] != "http" else [v for k, v in scope["headers"] if k == b"authorization"]
        key = b"".join(said).decode("latin-1")
        if scope["type"] != "http" or not str(scope["path"]).startswith("/v1") or TELLER in key:
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return  # its sender died over it: Stripe does nothing of half a request
        query = scope["query_string"].decode("latin-1")
        text = unquote_plus(" ".join((key, str(scope["path"]), query, body.decode())))
        self.calls.append(Call(time.monotonic(), str(scope["method"]), str(scope["path"]), text))
        spoil = self._take(self.calls[-1])
        await self.lit.wait()

        heard = False

        async def again() -> Any:  # at first it does not give way, so the fault below is this call's own
            nonlocal heard
            if heard:
                return await receive()
            heard = True
            return {"type": "http.request", "body": body, "more_body": False}

        if spoil is None:
            await self._face(scope, again, send)
        elif spoil.kind in ("wrong", "half", "late"):
            await self._spoiled(spoil, scope, again, send)
        else:
            fault = {spoil.kind: spoil.value, "path_prefix": str(scope["path"]), "method": scope["method"]}
            if spoil.kind == "limited":
                fault = fault | {"status": 429, "kind": "status", "retry_after": spoil.value}
            self._box.faults.add(fault)
            await self._face(scope, again, send)

    def _take(self, call: Call) -> Spoil | None:
        for spoil in self.spoils:
            if spoil.times and spoil.mark in call.text and spoil.method == call.method and spoil.path in call.path:
                spoil.times -= 1
                return spoil
        return None

    async def _spoiled(self, spoil: Spoil, scope: Any, receive: Any, send: Send) -> None:
        """Let it be done, and answer with another object, with half of the answer, or much later."""
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        await self._face(scope, receive, keep)
        if spoil.kind == "late":
            await asyncio.sleep(float(spoil.value))
        else:
            whole: bytes = kept[1]["body"]
            body = json.dumps({"object": "balance", "available": [], "data": {}, "id": 7}).encode()
            if spoil.kind == "half":
                body = whole[: len(whole) // 2]
            kept[0]["headers"] = [pair for pair in kept[0]["headers"] if pair[0] != b"content-length"]
            kept[0]["headers"].append((b"content-length", str(len(body)).encode()))
            kept[1]["body"] = body
        for message in kept:
            await send(message)


async def _whole(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


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
        self.gate = Gate(self.app, self.box)
        self._bound = socket.create_server(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self.gate, log_level="critical", ws="none", date_header=False, lifespan="on", timeout_graceful_shutdown=1
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
        self.light()
        self.http.close()
        self._server.should_exit = True
        self._thread.join(15)
        self._bound.close()
        assert not self._thread.is_alive(), "the stand-in does not stop"

    def darken(self) -> None:
        """Answer nobody, from now on."""
        self._loop.call_soon_threadsafe(self.gate.lit.clear)

    def light(self) -> None:
        """WorldAnswer everybody, also those who still wait."""
        self._loop.call_soon_threadsafe(self.gate.lit.set)

    def spoil(self, kind: str, mark: str, method: str, path: str, *, times: int = 1, value: Any = True) -> Spoil:
        """Spoil the next calls that bear the mark."""
        spoil = Spoil(kind, mark, method, path, times, value)
        self.gate.spoils.append(spoil)
        return spoil

    def calls(self, mark: str, method: str = "", path: str = "") -> list[Call]:
        """The calls so far that bear a mark."""
        return [c for c in self.gate.calls if mark in c.text and c.method.startswith(method) and path in c.path]

    def away(self) -> None:
        """Answer 503 to every call, until `back`."""
        self.box.faults.add({"status": 503, "times": 10_000})

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
