"""The stand-in Stripe in the event loop of a test, and a service beside it on the same clock."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn

from interlock.api.app import create_app
from interlock.api.demo.plans import read_plans
from interlock.api.demo.run import address
from interlock.api.http.server import Companion, listen
from interlock.api.sandbox import SandboxClock, create_sandbox
from interlock.api.settings import load_settings
from interlock.engine import Interlock

GOOD_CARD: Final = "4242424242424242"
SETTLES_WITHIN: Final = 30.0
"""Seconds of real time in which all that Stripe has to say is delivered and decided."""
APP_URL: Final = "http://localhost:3000"

Quiet = Callable[[], Awaitable[bool]]
"""Whether somebody has nothing left to do."""


class StandIn:
    """A Stripe of the test's own: the plans of a catalogue are sold in it, and its clock is the test's to move.

    `url` is what `STRIPE_API_BASE` and `SANDBOX_CLOCK` name for a service in another process; `key` is its key.
    """

    def __init__(self, url: str, clock: SandboxClock, plans: Path) -> None:
        self.url = url
        self.key = f"sk_test_{secrets.token_hex(16)}"
        self.clock = clock
        self.catalogue, self.sold = read_plans(plans)
        self._client = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)
        self._others: list[Quiet] = []

    async def advance(self, *, days: float = 0, hours: float = 0, seconds: float = 0) -> None:
        """Let time pass: trials end, invoices are made, paid and tried again, and all of it is delivered."""
        left = days * 86_400 + hours * 3600 + seconds
        await self._post("/_sandbox/clock/advance", {"seconds": left})
        await self.settle()

    async def advance_to(self, moment: str, user: str | None = None) -> None:
        """Let time pass to a user's `trial_end` or `period_end`, and an hour more, when the invoice is charged."""
        await self._post("/_sandbox/clock/advance", {"to": moment} | _of(user))
        await self.settle()

    async def decline_next(self, user: str | None = None) -> None:
        """Let the next payments of a user, else of the newest customer, be declined, until `accept_next`."""
        await self._post("/_sandbox/next_payment", {"outcome": "fail"} | _of(user))

    async def require_action(self, user: str | None = None) -> None:
        """Let the next payments need the customer's confirmation (3-D Secure), until `accept_next`."""
        await self._post("/_sandbox/next_payment", {"outcome": "authenticate"} | _of(user))

    async def accept_next(self, user: str | None = None) -> None:
        """Let payments succeed again."""
        await self._post("/_sandbox/next_payment", {"outcome": "succeed"} | _of(user))

    async def pay(self, session_id: str, card: str = GOOD_CARD) -> None:
        """Complete a checkout session as its buyer would, with one of Stripe's test cards."""
        await self._post(f"/_sandbox/checkout/{session_id}/pay", {"card": card})
        await self.settle()

    async def listen(self, url: str) -> tuple[str, str]:
        """Deliver every event to a service; return the endpoint's id and the secret that signs them."""
        made = await self._api("webhook_endpoints", {"url": url, "enabled_events[]": "*"})
        return made["id"], made["secret"]

    async def redirect(self, endpoint: str, url: str) -> None:
        """Deliver to another address from now on."""
        await self._api(f"webhook_endpoints/{endpoint}", {"url": url})

    async def _api(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        answer = await self._client.post(f"/v1/{path}", data=form, headers={"Authorization": f"Bearer {self.key}"})
        answer.raise_for_status()
        return answer.json()

    async def settle(self) -> None:
        """Wait until all that was emitted is delivered, and nothing is left to be asked."""
        async with asyncio.timeout(SETTLES_WITHIN):
            while True:
                if await self._is_quiet():
                    return
                await asyncio.sleep(0.005)

    async def _is_quiet(self) -> bool:
        state = (await self._client.get("/_sandbox/state")).json()
        return not state["pending_deliveries"] and all([await quiet() for quiet in self._others])

    def wait_for(self, quiet: Quiet) -> None:
        """Let `settle` wait for somebody else too."""
        self._others.append(quiet)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        answer = await self._client.post(path, json=body)
        if answer.status_code >= 400:
            raise RuntimeError(f"the stand-in refused {path}: {answer.text}")

    async def close(self) -> None:
        await self._client.aclose()


def _of(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user_id": user}


@asynccontextmanager
async def serving(make: Callable[[str], Any], *, dated: bool = True) -> AsyncGenerator[str]:
    """Serve an application on a free port of this process for the length of a block; yields its address."""
    with listen("127.0.0.1", 0) as bound:
        url = address(bound)
        config = uvicorn.Config(
            make(url), log_config=None, access_log=False, ws="none", lifespan="on", date_header=dated
        )
        server = Companion(config)
        running = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            if running.done():
                raise RuntimeError(f"{url} could not start")
            await asyncio.sleep(0.002)
        try:
            yield url
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def standin(plans: Path) -> AsyncGenerator[StandIn]:
    """Run a stand-in Stripe that sells the plans of a file."""
    clock = SandboxClock()
    _, sold = read_plans(plans)

    def make(url: str) -> Any:
        return create_sandbox(
            public_url=url, plans=sold, webhook_url="", webhook_secret="", app_url=APP_URL, clock=clock
        )

    async with serving(make, dated=False) as url:
        stripe = StandIn(url, clock, plans)
        try:
            yield stripe
        finally:
            await stripe.close()


@asynccontextmanager
async def service(stripe: StandIn, folder: Path) -> AsyncGenerator[Interlock]:
    """Run Interlock beside a stand-in, on its clock, with a database in `folder`; yields the engine."""
    made: list[Any] = []
    endpoint, secret = await stripe.listen("http://127.0.0.1:9/")  # its secret first: the service starts with it

    def make(url: str) -> Any:
        settings = load_settings(
            {
                "STRIPE_SECRET_KEY": stripe.key,
                "STRIPE_WEBHOOK_SECRET": secret,
                "STRIPE_API_BASE": stripe.url,
                "DATABASE_URL": f"sqlite:///{folder.resolve() / 'interlock.db'}",
                "JWT_SECRET": secrets.token_hex(32),
                "APP_URL": APP_URL,
                "RECONCILE_EVERY": "0",
            }
        )
        made.append(create_app(settings, config=settings.engine_config(stripe.clock.now, stripe.catalogue)))
        return made[0]

    async with serving(make) as url:
        engine: Interlock = made[0].interlock
        await stripe.redirect(endpoint, f"{url}/webhooks/stripe")

        async def answered() -> bool:
            return not (await engine.metrics())["interlock_pending_questions"]

        stripe.wait_for(answered)
        yield engine


def plans_file() -> Path:
    """Return the catalogue that is sold: PLANS_FILE, else `plans.toml` here, as for the service."""
    return Path(os.environ.get("PLANS_FILE", "plans.toml"))
