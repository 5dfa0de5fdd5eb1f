"""The service as an ASGI application, spoken to by hand: what the protocol leaves open, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from api.app import create_app
from api.settings import load_settings
from tests.conftest import environment, sign, subscription_event

Message = dict[str, Any]


@pytest.fixture
def app(tmp_path: Path) -> Litestar:
    return create_app(load_settings(environment(tmp_path)))


async def ask(app: Litestar, method: str, path: str, messages: list[Message], *headers: tuple[bytes, bytes]) -> int:
    """Ask once; what is told after the messages never comes.  Return the status of the answer."""
    scope: Any = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": "", "state": {},
        "query_string": b"", "scheme": "http", "http_version": "1.1", "headers": list(headers), "client": None,
        "server": None, "asgi": {"version": "3.0"},
    }  # fmt: skip
    told = [*reversed(messages)]
    said: list[Message] = []

    async def receive() -> Any:
        if not told:
            await asyncio.Event().wait()
        return told.pop()

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"]


@pytest.mark.parametrize("left_out", ["more_body", "body"])
def test_what_a_message_may_leave_out(app: Litestar, left_out: str) -> None:
    """A body without `more_body` is whole, and a message without `body` brings none: any server's ASGI will do."""
    body = json.dumps(subscription_event("u_asgi")).encode()
    messages: list[Message] = [{"type": "http.request", "body": body}]
    if left_out == "body":
        messages = [{"type": "http.request", "more_body": True}, *messages]

    async def deliver() -> int:
        async with app.lifespan():
            return await ask(app, "POST", "/webhooks/stripe", messages, (b"stripe-signature", sign(body).encode()))

    assert asyncio.run(deliver()) == 200
