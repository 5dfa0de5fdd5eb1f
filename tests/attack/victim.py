"""What is attacked: `interlock serve` as a process, logging at DEBUG, on a socket, with a database to look into."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit.hose import Answer, Line, ask, webhook
from tests.kit.process import Process
from tests.kit.settings import ADMIN_TOKEN, PYTHON, environment, make_token, sign

Obj = dict[str, Any]


class Victim(Process):
    """A running service that logs at DEBUG; `bounds` are nearer than the product's (`impatient`)."""

    def __init__(self, folder: Path, *, bounds: Obj | None = None, **changes: str | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [*PYTHON, "-m", "tests.attack.impatient", json.dumps(bounds or {})]
        super().__init__(environment(folder, **changes), folder / "service.log", command=command)
        self.database = folder / "interlock.db"

    # -- what is asked of it ------------------------------------------------------------------------------

    def line(self, wait: float = 30) -> Line:
        """Open a connection."""
        return Line(self.port, wait)

    def request(self, method: str, path: str, *headers: str | bytes, body: bytes | None = None) -> Answer:
        """Ask once, on a connection of its own."""
        with self.line() as line:
            line.send(ask(method, path, *headers, body=body))
            return line.answer()

    def get(self, path: str, user: str | None = None, *headers: str | bytes) -> Answer:
        return self.request("GET", path, *bearer(user), *headers)

    def post(self, path: str, user: str | None, body: Any, *headers: str | bytes) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, *bearer(user), *headers, body=raw)

    def deliver(self, event: Obj | bytes, signature: str | bytes | None = None) -> Answer:
        """Deliver an event as Stripe would."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        with self.line() as line:
            line.send(webhook(body, signature or sign(body)))
            return line.answer()

    def state(self, user: str) -> Obj:
        answer = self.get("/subscription", user)
        assert answer.status == 200, answer
        return answer.json()

    def figure(self, name: str) -> float:
        """Read one figure of `/metrics`."""
        text = self.request("GET", "/metrics", f"Authorization: Bearer {ADMIN_TOKEN}").body.decode()
        return float(dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))[name])

    # -- what is seen of it -------------------------------------------------------------------------------

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into its database, from outside."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def rows(self) -> dict[str, int]:
        """How many rows each table has; the tables that hold none of what came from outside are left out."""
        tables = ["customer", "subscription", "bill", "users", "event", "decision", "queue", "checkout"]
        return {table: self.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    def on_disk(self) -> Iterator[bytes]:
        """Yield all that its files hold, and what the stored payloads say once they are unpacked."""
        for file in self.database.parent.glob("interlock.db*"):
            yield file.read_bytes()
        for (payload,) in self.query("SELECT payload FROM event WHERE payload IS NOT NULL"):
            yield zlib.decompress(payload)


def bearer(user: str | None) -> tuple[str, ...]:
    """Return the header of a user's token; of nobody, none."""
    return () if user is None else (f"Authorization: Bearer {make_token(user)}",)


def closed_by_the_server(connection: socket.socket, within: float) -> bool:
    """Whether the other side hangs up in time, whatever it says before."""
    connection.settimeout(0.2)
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if not connection.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False
