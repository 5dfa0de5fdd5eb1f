"""A small truthful Stripe on loopback: it answers what is so, over real HTTP, and can be away for a while."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.kit.bodies import NEWEST, Obj, Sub, customer

PAGE: Final = 100


class TruthfulStripe:
    """Holds subscriptions and their customers; whoever asks is told how they are now.

    `away` answers 503 to everything, `slow` waits so many seconds between reading and answering.
    """

    def __init__(self) -> None:
        self.subs: dict[str, Obj] = {}
        self.users: dict[str, str] = {}
        self.events: list[Obj] = []
        self.calls: list[str] = []
        self.away = False
        self.slow = 0.0
        truth = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = truth.answer(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def is_now(self, sub: Sub) -> None:
        """Say how a subscription is; answers come in the newest version, whatever its events were in."""
        self.subs[sub.id] = sub.json(NEWEST)

    def answer(self, target: str) -> tuple[int, Obj]:
        """Answer one GET."""
        parts = urlsplit(target)
        path, query = parts.path.removeprefix("/v1/"), parse_qs(parts.query)
        self.calls.append(path)
        if self.away:
            return 503, {"error": {"type": "api_error", "message": "away"}}
        kind, _, id_ = path.partition("/")
        found: Obj | None = None
        if kind == "subscriptions" and id_:
            found = self._expanded(self.subs[id_]) if id_ in self.subs else None
        elif kind == "subscriptions":
            wanted = query.get("customer", [""])[0]
            found = _listed([sub for sub in self.subs.values() if wanted in ("", sub["customer"])])
        elif kind == "events":
            found = self._events(query)
        time.sleep(self.slow)
        if found is None:
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": target}}
        return 200, found

    def _expanded(self, sub: Obj) -> Obj:
        return sub | {"customer": customer(sub["customer"], user=self.users.get(sub["customer"]))}

    def _events(self, query: dict[str, list[str]]) -> Obj:
        newest_first = self.events[::-1]
        if "ending_before" in query:
            at = [told["id"] for told in newest_first].index(query["ending_before"][0])
            newest_first = newest_first[:at][-PAGE:]
        return _listed(newest_first[: int(query.get("limit", [str(PAGE)])[0])])


def _listed(data: list[Obj]) -> Obj:
    return {"object": "list", "url": "/v1", "has_more": False, "data": data}
