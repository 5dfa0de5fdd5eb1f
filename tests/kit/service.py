"""A running service in a thread of this process, on a real socket."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Protocol

import httpx
import uvicorn

from interlock.api.app import create_app
from interlock.api.http.server import listen, server_config
from interlock.api.settings import load_settings
from tests.kit.settings import bearer, free_port, sign


class Service:
    """A running service: its address, and a client that speaks to it."""

    def __init__(self, settings: dict[str, str], *, port: int | None = None) -> None:
        self.app = create_app(load_settings(settings))
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._bound = listen("127.0.0.1", self.port)
        self._server = uvicorn.Server(server_config(self.app))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def _run(self) -> None:
        self._server.run(sockets=[self._bound])

    def start(self) -> None:
        self._thread.start()
        until = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive(), "the service could not start"
            assert time.monotonic() < until, "the service does not start"
            time.sleep(0.01)

    def begin_stop(self) -> None:
        """Ask it to stop, as a signal would."""
        self._server.should_exit = True

    def stop(self) -> None:
        self.client.close()
        self.begin_stop()
        self._thread.join(30)
        self._bound.close()
        assert not self._thread.is_alive(), "the service does not stop"

    def get(self, path: str, user: str | None = None, **options: Any) -> httpx.Response:
        return self.request("GET", path, user, **options)

    def request(self, method: str, path: str, user: str | None = None, **options: Any) -> httpx.Response:
        """Ask as a user; None asks without a token."""
        headers = dict(options.pop("headers", {}))
        if user is not None:
            headers |= bearer(user)
        return self.client.request(method, path, headers=headers, **options)

    def deliver(self, event: dict[str, Any] | bytes, signature: str | None = None) -> httpx.Response:
        """Deliver an event as Stripe would."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = {"Stripe-Signature": signature or sign(body), "Content-Type": "application/json"}
        return self.client.post("/webhooks/stripe", content=body, headers=headers)


class StartService(Protocol):
    """Starts a service with changed settings."""

    def __call__(self, **changes: str | None) -> Service: ...
