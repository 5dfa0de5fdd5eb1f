"""Services as processes of their own, which can be killed and started again on the same port and database."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from tests.kit.settings import ADMIN_TOKEN, COMMAND, ROOT, bearer, free_port, process_environment, sign

Obj = dict[str, Any]


class Process:
    """A service on a port: `interlock serve`, or another command that takes the same words; it writes to `log`."""

    def __init__(
        self,
        settings: dict[str, str],
        log: Path,
        *,
        port: int | None = None,
        command: Sequence[str] = COMMAND,
        verb: str = "serve",
        options: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.pid = 0
        self._command = [*command, verb, "--port", str(self.port), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> Self:
        """Start it, and do not wait."""
        environment = process_environment(self.settings)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.pid = self._process.pid
        return self

    def start(self) -> Self:
        """Start it; return once it answers."""
        self.begin()
        self.await_ready()
        return self

    def await_ready(self, seconds: float = 60, *, status: int = 200) -> None:
        """Wait until it answers readiness with a status."""
        until = time.monotonic() + seconds
        while self._readiness() != status:
            assert self.alive(), f"it died while it started: {self.said()[-2000:]}"
            assert time.monotonic() < until, f"it does not come to {status}: {self.said()[-2000:]}"
            time.sleep(0.02)

    def _readiness(self) -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            try:
                connection.request("GET", "/health/ready")
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as if its machine was gone: no clean-up of any kind."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        self.await_end()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it as an operator would; returns its exit code."""
        if self.alive():
            os.kill(self.pid, by)
        return self.await_end()

    def await_end(self, seconds: float = 20) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it however it is."""
        if self.alive():
            self.kill()

    # -- what is seen of it -------------------------------------------------------------------------------

    def said(self) -> str:
        """All that it wrote on stdout and stderr."""
        return self.log.read_text("utf-8", "replace")

    def errors(self) -> list[str]:
        """The lines that tell of a fault of its own."""
        words = (" ERROR ", " CRITICAL ", "Traceback")
        return [line for line in self.said().splitlines() if any(word in line for word in words)]

    def resident(self) -> int:
        """Its resident memory in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


class Served(Process):
    """A service that is asked through one client."""

    def __init__(
        self, settings: dict[str, str], log: Path, *, port: int | None = None, command: Sequence[str] = COMMAND
    ) -> None:
        super().__init__(settings, log, port=port, command=command)
        self.client = client_of(self.url)

    def close(self) -> None:
        super().close()
        self.client.close()

    def deliver(self, event: Obj, client: httpx.Client | None = None) -> httpx.Response:
        """Deliver an event as Stripe would."""
        body = json.dumps(event, indent=2).encode()
        headers = {"Stripe-Signature": sign(body), "Content-Type": "application/json"}
        return (client or self.client).post("/webhooks/stripe", content=body, headers=headers)

    def state(self, user: str) -> Obj:
        answer = self.client.get("/subscription", headers=bearer(user))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def checkout(self, user: str, plan: str = "pro", client: httpx.Client | None = None, **more: Any) -> httpx.Response:
        return (client or self.client).post("/checkout", json={"plan": plan} | more, headers=bearer(user))

    def metric(self, name: str) -> float:
        """Read one figure of `/metrics`."""
        text = self.client.get("/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(lines[name])

    def await_settled(self, seconds: float = 20) -> float:
        """Wait until nothing is asked of Stripe any more; return the seconds that took."""
        begun = time.monotonic()
        while self.metric("interlock_pending_questions"):
            assert time.monotonic() - begun < seconds, f"still pending after {seconds} s: {self.said()[-2000:]}"
            time.sleep(0.05)
        return time.monotonic() - begun


def client_of(url: str) -> httpx.Client:
    """Return a client; without certificates to read, of which loopback needs none, it is made 30 times faster."""
    return httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False)


def crowd_client(url: str) -> httpx.AsyncClient:
    """Return a client for as many requests at once as there are."""
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=False, limits=limits)


def command(settings: dict[str, str], *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one command of `interlock` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=process_environment(settings),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
