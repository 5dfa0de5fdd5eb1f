"""A sandbox that really serves on loopback, and an endpoint that really receives."""

from __future__ import annotations

import http.server
import threading
import time
from pathlib import Path
from typing import Any

import stripe

from tests.kit.stripe import TELLER, StandIn

Obj = dict[str, Any]
SECRET = "whsec_of_the_tests"
KEY = TELLER
PLANS: list[Obj] = [
    {"key": "pro", "name": "Pro", "price": "price_pro", "lookup_key": None, "amount": 2000, "currency": "usd",
     "interval": "month", "trial_days": 14, "features": ["export"]},
    {"key": "team", "name": "Team", "price": None, "lookup_key": "team_yearly", "amount": 90000,
     "currency": "eur", "interval": "year", "trial_days": 0, "features": []},
]  # fmt: skip


class Receiver:
    """An endpoint: it keeps what comes, checks each signature with the SDK, and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[float, Obj]] = []
        self.answers: list[int] = []
        self.secrets = [SECRET]
        self.headers: list[str] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(body, self.headers["stripe-signature"])
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/stripe"

    def take(self, body: bytes, header: str) -> None:
        """Keep one delivery, if each secret that should sign did."""
        assert body.startswith(b'{\n  "id": "evt_'), body[:40]
        first, *others = self.secrets
        event = stripe.Webhook.construct_event(body, header, first, tolerance=10**10)
        for secret in others:
            stripe.Webhook.construct_event(body, header, secret, tolerance=10**10)
        self.headers.append(header)
        self.got.append((time.perf_counter(), event.to_dict()))

    def types(self) -> list[str]:
        """The types received so far."""
        return [event["type"] for _, event in self.got]

    def wait_for(self, type_: str, count: int = 1, seconds: float = 5.0) -> Obj:
        """Wait until an event of this type was received so often; the last of them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [event for _, event in list(self.got) if event["type"] == type_]
            if len(found) >= count:
                return found[-1]
            time.sleep(0.002)
        raise AssertionError(f"no {count} × {type_} within {seconds} s: {self.types()}")

    def close(self) -> None:
        """End."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Live(StandIn):
    """The stand-in with the plans that its own tests speak of, and a secret of its own."""

    def __init__(self, webhook_url: str = "", data: Path | None = None) -> None:
        super().__init__(webhook_url, plans=PLANS, secret=SECRET, app_url="http://app.example:8000", data=data)
