"""`interlock sandbox`: the service and a stand-in Stripe in one process, on one clock, with secrets of its own.

Everything is on loopback, and the secrets are made here: no key of a real account ever comes near it.
"""

from __future__ import annotations

import asyncio
import logging.config
import os
import secrets
import signal
import socket
import time
import tomllib
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec

from interlock.api.app import create_app
from interlock.api.demo.page import DemoSettings, demo_router
from interlock.api.http.logs import logging_config
from interlock.api.http.server import Companion, server_config
from interlock.api.sandbox import SandboxClock, create_sandbox
from interlock.api.settings import Settings, load_settings
from interlock.engine import BadConfiguration, Catalogue

USER: Final = "demo"
TOKEN_FOR: Final = 100 * 365 * 86_400
"""Seconds; the sandbox's clock jumps by months, and its tokens should outlive that."""
_PLANS: Final = Path(__file__).with_name("plans.toml")
_SOLD_AT: Final = ("amount", "currency", "interval")


class Keys(msgspec.Struct):
    """The sandbox's own secrets, the same again with the same --data."""

    stripe_key: str
    webhook_secret: str
    jwt_secret: str
    admin_token: str


def demo_plans() -> tuple[Catalogue, list[dict[str, Any]]]:
    """Return the catalogue, and the same plans with prices for the stand-in to sell."""
    plain = tomllib.loads(_PLANS.read_text("utf-8"))
    sold = [{"key": key, **plan} for key, plan in plain["plans"].items()]
    for plan in plain["plans"].values():
        for name in _SOLD_AT:
            del plan[name]
    return msgspec.convert(plain, Catalogue), sold


def read_keys(folder: Path) -> Keys:
    """Read the folder's secrets; make them where there are none yet, for the owner's eyes only."""
    path = folder / "keys.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Keys)
    except FileNotFoundError:
        pass
    except msgspec.DecodeError:
        raise BadConfiguration(f"{path}: it does not hold the sandbox's keys; delete it to have new ones") from None
    keys = Keys(
        stripe_key=f"sk_test_{secrets.token_hex(24)}",
        webhook_secret=f"whsec_{secrets.token_hex(24)}",
        jwt_secret=secrets.token_hex(32),
        admin_token=secrets.token_hex(24),
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(keys))
    return keys


class Sandbox:
    """Both servers, and what they need to know of each other."""

    def __init__(self, port: int, stripe_port: int, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._keep = keep
        self._keys = read_keys(folder)
        self._url = f"http://127.0.0.1:{port}"
        self._stripe_url = f"http://127.0.0.1:{stripe_port}"
        self._clock = SandboxClock()

    def token(self, user: str) -> str:
        """Make a token for any user: this is why the page is mounted by the sandbox only."""
        # From the real clock: `exp` is so far away that the sandbox's never gets there.
        claims = {"sub": user, "exp": int(time.time()) + TOKEN_FOR}
        return jwt.encode(claims, self._keys.jwt_secret, algorithm="HS256")

    def welcome(self) -> str:
        kept = f"Kept in    {self._folder}" if self._keep else "Nothing is kept; --data DIR keeps it."
        return (
            f"Interlock  {self._url}\nStripe     {self._stripe_url}  (a stand-in; no account, no money)\n{kept}\n\n"
            f'A token of the user "{USER}":\n{self.token(USER)}\n\n'
            f'  curl -H "Authorization: Bearer $TOKEN" {self._url}/subscription\n\nCtrl-C ends it.'
        )

    def _settings(self) -> Settings:
        # Through the same door as a real service's, so the sandbox shows what a service would do.
        return load_settings(
            {
                "STRIPE_SECRET_KEY": self._keys.stripe_key,
                "STRIPE_WEBHOOK_SECRET": self._keys.webhook_secret,
                "STRIPE_API_BASE": self._stripe_url,
                "DATABASE_URL": f"sqlite:///{self._folder.resolve() / 'interlock.db'}",
                "JWT_SECRET": self._keys.jwt_secret,
                "ADMIN_TOKEN": self._keys.admin_token,
                "APP_URL": self._url,
                "RECONCILE_EVERY": "30",
            }
        )

    def _apps(self) -> tuple[Any, Any]:
        catalogue, sold = demo_plans()
        stripe = create_sandbox(
            public_url=self._stripe_url,
            plans=sold,
            webhook_url=f"{self._url}/webhooks/stripe",
            webhook_secret=self._keys.webhook_secret,
            app_url=self._url,
            clock=self._clock,
            data=self._folder / "stripe.json" if self._keep else None,
        )
        settings = self._settings()
        demo: DemoSettings = {"stripe_url": self._stripe_url, "user": USER, "make_token": self.token}
        return stripe, create_app(
            settings, config=settings.engine_config(self._clock.now, catalogue), extra=[demo_router(demo)]
        )

    async def run(self, sockets: list[socket.socket]) -> None:
        """Serve both until a signal comes; the service stops first, so that nothing it asks is refused."""
        logging.config.dictConfig(logging_config())
        stripe, service = self._apps()
        # The service measures its facts by the date of Stripe's answers, so it must be the sandbox's, and the only one.
        servers = [Companion(server_config(stripe, date_header=False)), Companion(server_config(service))]
        tasks = [
            asyncio.create_task(server.serve(sockets=[bound])) for server, bound in zip(servers, sockets, strict=True)
        ]
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for server, task in reversed(list(zip(servers, tasks, strict=True))):
            server.should_exit = True
            server.force_exit = stop.is_set() and server is servers[0]
            await asyncio.gather(task, return_exceptions=True)
        if not stop.is_set():
            raise BadConfiguration("the sandbox could not start, or stopped by itself; see above")
