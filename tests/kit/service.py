"""A running service in a thread of this process, on a real socket."""

from __future__ import annotations

import json
import re
import threading
import time
from functools import cached_property
from typing import Any, Final, Protocol

import httpx
import uvicorn
from litestar.serialization import encode_json

from interlock.api.app import create_app
from interlock.api.http.server import listen, server_config
from interlock.api.settings import load_settings
from tests.kit.settings import bearer, free_port, sign

ANYWHERE: Final = {"bad_request", "internal", "overloaded", "stopping", "not_started"}
"""Codes of the server itself, which any route may answer."""


def codes_of(operation: dict[str, Any]) -> set[str]:
    """Return the codes of the problems that an operation of the OpenAPI document names."""
    contents = [content for answer in operation["responses"].values() for content in answer.get("content", {}).values()]
    return {name for content in contents for name in content.get("examples", {})}


class Service:
    """A running service: its address, and a client that speaks to it."""

    def __init__(self, settings: dict[str, str], *, port: int | None = None) -> None:
        self.app = create_app(load_settings(settings))
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._bound = listen("127.0.0.1", self.port)
        self._server = uvicorn.Server(server_config(self.app))
        self._thread = threading.Thread(target=self._run, daemon=True)
        hooks = {"response": [self._is_documented]}
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False, event_hooks=hooks)

    def _run(self) -> None:
        self._server.run(sockets=[self._bound])

    def start(self) -> None:
        self._thread.start()
        until = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive(), "the service could not start"
            assert time.monotonic() < until, "the service does not start"
            time.sleep(0.01)

    @cached_property
    def _documented(self) -> list[tuple[str, re.Pattern[str], set[str]]]:
        """Each operation of the OpenAPI document, and the codes that it names."""
        paths: dict[str, Any] = json.loads(encode_json(self.app.litestar.openapi_schema.to_schema()))["paths"]
        return [
            (method.upper(), re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), codes_of(operation))
            for path, item in paths.items()
            for method, operation in item.items()
        ]

    def _is_documented(self, answer: httpx.Response) -> None:
        """Whatever a test asks: a problem has a code that the document names for its operation."""
        if answer.headers.get("content-type") != "application/problem+json":
            return
        code, asked = json.loads(answer.read())["code"], answer.request
        for method, path, codes in self._documented:
            if method == asked.method and path.fullmatch(asked.url.path):
                assert code in codes | ANYWHERE, f"{method} {asked.url.path} answers {code}, undocumented"

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
