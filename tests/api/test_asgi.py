"""The service as an ASGI application, spoken to by hand: what the protocol leaves open, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from interlock.api.app import InterlockApp, create_app
from interlock.api.routes import webhooks
from interlock.api.settings import load_settings
from tests.kit.bodies import subscription_event
from tests.kit.settings import ROOT, environment, sign

Message = dict[str, Any]
MEGABYTE = b"x" * (1024 * 1024 - 1)


@pytest.fixture
def app(tmp_path: Path) -> InterlockApp:
    return create_app(load_settings(environment(tmp_path)))


async def ask(
    app: InterlockApp,
    method: str,
    path: str,
    messages: list[Message],
    *headers: tuple[bytes, bytes],
    on_send: Callable[[], object] = bool,
) -> int:
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
        on_send()
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"]


@pytest.mark.parametrize("left_out", ["more_body", "body"])
def test_what_a_message_may_leave_out(app: InterlockApp, left_out: str) -> None:
    """A body without `more_body` is whole, and a message without `body` brings none: any server's ASGI will do."""
    body = json.dumps(subscription_event("u_asgi")).encode()
    messages: list[Message] = [{"type": "http.request", "body": body}]
    if left_out == "body":
        messages = [{"type": "http.request", "more_body": True}, *messages]

    async def deliver() -> int:
        async with app.lifespan():
            return await ask(app, "POST", "/webhooks/stripe", messages, (b"stripe-signature", sign(body).encode()))

    assert asyncio.run(deliver()) == 200


REFUSED: dict[str, tuple[str, str, list[Message], int]] = {
    "unsigned": ("POST", "/webhooks/stripe", [{"type": "http.request", "body": MEGABYTE}], 400),
    "too slow": ("POST", "/webhooks/stripe", [{"type": "http.request", "body": MEGABYTE, "more_body": True}], 408),
    "left": (
        "POST",
        "/webhooks/stripe",
        [{"type": "http.request", "body": MEGABYTE, "more_body": True}, {"type": "http.disconnect"}],
        400,
    ),
    "without a token": ("GET", "/subscription", [], 401),
}


def frames_in_cycles() -> list[str]:
    """Name the functions of ours whose frames, with all that they hold, only the collector would find."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        frames = [found.f_code for found in gc.garbage if isinstance(found, FrameType)]
        return [code.co_name for code in frames if code.co_filename.startswith(str(ROOT / "api"))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_forgotten(app: InterlockApp, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing of a refused request waits for the collector of cycles: megabytes of anybody's did, by the hundred."""
    monkeypatch.setattr(webhooks, "READ_WITHIN", 0.01)
    method, path, messages, status = REFUSED[name]

    async def ask_twice() -> tuple[int, list[str]]:
        async with app.lifespan():
            await ask(app, method, path, messages)  # what is made once and for all is made here
            gc.collect()
            gc.disable()
            try:
                return await ask(app, method, path, messages), frames_in_cycles()
            finally:
                gc.enable()

    assert asyncio.run(ask_twice()) == (status, [])


@pytest.mark.parametrize("name", ["unsigned", "too slow", "left"])
def test_a_refusal_holds_no_body(app: InterlockApp, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """While an answer waits for a reader that may never read, the body that was refused is held by nobody."""
    monkeypatch.setattr(webhooks, "READ_WITHIN", 0.01)
    method, path, messages, _ = REFUSED[name]
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((sys.getrefcount(MEGABYTE), tracemalloc.get_traced_memory()[0]))

    async def ask_twice() -> None:
        async with app.lifespan():
            await ask(app, method, path, messages)
            tracemalloc.start()
            look()
            try:
                await ask(app, method, path, messages, on_send=look)
            finally:
                tracemalloc.stop()

    asyncio.run(ask_twice())
    (references, _), *later = seen
    assert {count for count, _ in later} == {references}
    assert max(held for _, held in later) < len(MEGABYTE) / 2
