"""`interlock sandbox` as a person starts it: a process of its own, both servers, the real command.

What its stand-in tells the service can't be seen from here; what it tells the test, and every event, is validated.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.process import Process
from tests.kit.settings import free_port
from tests.sandbox.schemas import check, check_event


class Reply(NamedTuple):
    """An answer: its JSON, and its headers as often as they came."""

    body: Any
    headers: Message


class Sandbox(Process):
    """The running command: where its two servers are, and what the stand-in itself says is true."""

    def __init__(self, folder: Path) -> None:
        stripe_port = free_port()
        options = ["--stripe-port", str(stripe_port), "--data", str(folder)]
        super().__init__({}, folder / "log", verb="sandbox", options=options)
        self.stripe_url = f"http://127.0.0.1:{stripe_port}"
        self._folder = folder

    def request(self, url: str, body: bytes | None = None, **headers: str) -> Reply:
        """GET, or POST where there is a body."""
        asked = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return Reply(json.load(answer), answer.headers)

    def ask(self, url: str, body: object = None, **headers: str) -> Any:
        """GET, or POST of JSON where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        return self.request(url, data, **{"Content-Type": "application/json"}, **headers).body

    def panel(self, path: str, body: object = None) -> Any:
        """Look at the stand-in's control panel, or do something there."""
        return self.ask(f"{self.stripe_url}/_sandbox/{path}", body)

    def api(self, path: str, form: str | None = None) -> Reply:
        """Ask Stripe's API with the sandbox's own key: GET, or POST where there is a form; what it answers fits."""
        key = json.loads((self._folder / "keys.json").read_text())["stripe_key"]
        data = None if form is None else form.encode()
        reply = self.request(f"{self.stripe_url}/v1/{path}", data, Authorization=f"Bearer {key}")
        check(reply.body)
        return reply

    def mine(self, user: str, path: str, body: object = None) -> Any:
        """Ask the service as this user."""
        token = self.ask(f"{self.url}/demo/token?user={user}")["token"]
        return self.ask(f"{self.url}/{path}", body, Authorization=f"Bearer {token}")

    def truth(self, user: str) -> str:
        """What the stand-in says of this user's newest subscription."""
        listed = self.api("subscriptions?status=all&limit=100").body
        return next(sub["status"] for sub in listed["data"] if sub["metadata"].get("user_id") == user)

    def check_what_it_keeps(self) -> None:
        """After its end: every event that it emitted is in its file, those too that its API shows no longer."""
        kept = json.loads((self._folder / "stripe.json").read_text("utf-8"))
        for event in kept["world"]["tables"]["event"].values():
            check_event(event)


@contextmanager
def started(folder: Path) -> Generator[Sandbox]:
    """Run the command for the length of a block; what it kept is validated after it."""
    running = Sandbox(folder)
    try:
        running.start()
        running.panel("state")
        yield running
        running.stop(signal.SIGINT)
    finally:
        running.close()
    running.check_what_it_keeps()
