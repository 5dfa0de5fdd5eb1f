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
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec

from interlock.api.app import create_app
from interlock.api.demo.page import DemoSettings, demo_router
from interlock.api.demo.plans import DEMO, read_plans
from interlock.api.http.logs import logging_config
from interlock.api.http.server import Companion, server_config
from interlock.api.sandbox import SandboxClock, create_sandbox
from interlock.api.settings import Settings, load_settings
from interlock.engine import BadConfiguration

USER: Final = "demo"
TOKEN_FOR: Final = 100 * 365 * 86_400
"""Seconds; the sandbox's clock jumps by months, and its tokens should outlive that."""


class Keys(msgspec.Struct):
    """The sandbox's own secrets, the same again with the same --data."""

    stripe_key: str
    webhook_secret: str
    jwt_secret: str
    admin_token: str
    service_token: str = ""


def new_keys() -> Keys:
    """Make secrets that nothing else has."""
    return Keys(
        stripe_key=f"sk_test_{secrets.token_hex(24)}",
        webhook_secret=f"whsec_{secrets.token_hex(24)}",
        jwt_secret=secrets.token_hex(32),
        admin_token=secrets.token_hex(24),
        service_token=secrets.token_hex(24),
    )


def read_keys(folder: Path) -> Keys:
    """Read the folder's secrets; make them where there are none yet, for the owner's eyes only."""
    path = folder / "keys.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Keys)
    except FileNotFoundError:
        pass
    except msgspec.DecodeError:
        raise BadConfiguration(f"{path}: it does not hold the sandbox's keys; delete it to have new ones") from None
    keys = new_keys()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(keys))
    return keys


def address(bound: socket.socket) -> str:
    """Return the address of a server that listens on a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://{host}:{port}"


class Demo:
    """The stand-in Stripe, beside it the service unless `with_service` is False, and what each needs of the other.

    `sockets`: the stand-in's, then the service's.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        folder: Path,
        *,
        plans: Path = DEMO,
        keep: bool = False,
        webhook_url: str | None = None,
    ) -> None:
        self._sockets = sockets
        self._folder = folder
        self._keep = keep
        self._keys = read_keys(folder)
        self._catalogue, self._sold = read_plans(plans)
        self._stripe_url = address(sockets[0])
        self._url = address(sockets[1]) if len(sockets) > 1 else None
        self._webhook_url = f"{self._url}/webhooks/stripe" if self._url else webhook_url or ""
        self._clock = SandboxClock()

    def token(self, user: str) -> str:
        """Make a token for any user: this is why the page is mounted by the sandbox only."""
        # From the real clock: `exp` is so far away that the sandbox's never gets there.
        claims = {"sub": user, "exp": int(time.time()) + TOKEN_FOR}
        return jwt.encode(claims, self._keys.jwt_secret, algorithm="HS256")

    def welcome(self) -> str:
        """Return what the terminal says at the start."""
        kept = f"Kept in    {self._folder}" if self._keep else "Nothing is kept; --data DIR keeps it."
        stripe = f"Stripe     {self._stripe_url}  (a stand-in; no account, no money)"
        if self._url is None:
            endpoint = self._webhook_url or "none; --webhook-url URL names one"
            return (
                f"{stripe}\nPanel      {self._stripe_url}/_sandbox\nEndpoint   {endpoint}\n{kept}\n\n"
                f"For a service of yours:\n\n"
                f"  STRIPE_API_BASE={self._stripe_url}\n  STRIPE_SECRET_KEY={self._keys.stripe_key}\n"
                f"  STRIPE_WEBHOOK_SECRET={self._keys.webhook_secret}\n  SANDBOX_CLOCK={self._stripe_url}\n\n"
                "Ctrl-C ends it."
            )
        return (
            f"Interlock  {self._url}\n{stripe}\n{kept}\n\n"
            f'A token of the user "{USER}":\n{self.token(USER)}\n\n'
            f'  curl -H "Authorization: Bearer $TOKEN" {self._url}/subscription\n\nCtrl-C ends it.'
        )

    def _settings(self, url: str) -> Settings:
        # Through the same door as a real service's, so the sandbox shows what a service would do.
        return load_settings(
            {
                "STRIPE_SECRET_KEY": self._keys.stripe_key,
                "STRIPE_WEBHOOK_SECRET": self._keys.webhook_secret,
                "STRIPE_API_BASE": self._stripe_url,
                "DATABASE_URL": f"sqlite:///{self._folder.resolve() / 'interlock.db'}",
                "JWT_SECRET": self._keys.jwt_secret,
                "ADMIN_TOKEN": self._keys.admin_token,
                **({"SERVICE_TOKEN": self._keys.service_token} if self._keys.service_token else {}),
                "APP_URL": url,
                "RECONCILE_EVERY": "30",
            }
        )

    def _apps(self) -> list[Any]:
        hook = urlsplit(self._webhook_url)
        apps: list[Any] = [
            create_sandbox(
                public_url=self._stripe_url,
                plans=self._sold,
                webhook_url=self._webhook_url,
                webhook_secret=self._keys.webhook_secret,
                app_url=self._url or (f"{hook.scheme}://{hook.netloc}" if hook.netloc else self._stripe_url),
                clock=self._clock,
                data=self._folder / "stripe.json" if self._keep else None,
            )
        ]
        if self._url is not None:
            settings = self._settings(self._url)
            demo: DemoSettings = {"stripe_url": self._stripe_url, "user": USER, "make_token": self.token}
            config = settings.engine_config(self._clock.now, self._catalogue)
            apps.append(create_app(settings, config=config, extra=[demo_router(demo)]))
        return apps

    async def run(self) -> None:
        """Serve until a signal comes; the service stops first, so that nothing it asks is refused."""
        logging.config.dictConfig(logging_config())
        # The service measures its facts by the date of Stripe's answers, so it must be the sandbox's, and the only one.
        dated = (False, True)
        servers = [
            Companion(server_config(app, date_header=date)) for app, date in zip(self._apps(), dated, strict=False)
        ]
        tasks = [
            asyncio.create_task(server.serve(sockets=[bound]))
            for server, bound in zip(servers, self._sockets, strict=True)
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
