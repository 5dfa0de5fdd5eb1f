"""Services as processes of their own, which can be killed: `interlock serve` itself, or one that dies at a step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx

from tests.kit.settings import (
    ADMIN_TOKEN,
    COMMAND,
    PYTHON,
    ROOT,
    bearer,
    environment,
    free_port,
    process_environment,
    sign,
)

Obj = dict[str, Any]


def settings_in(folder: Path, stripe_url: str, **changes: str | None) -> dict[str, str]:
    """Return a service's settings: its files in a folder, and the stand-in as its Stripe."""
    folder.mkdir(parents=True, exist_ok=True)
    return environment(folder, STRIPE_API_BASE=stripe_url, **changes)


class Served:
    """A service on a port, in a process that is started and killed; what it says goes to `said`."""

    def __init__(self, settings: dict[str, str], log: Path, *, port: int | None = None) -> None:
        self.settings = settings
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.pid = 0
        self.client = client_of(self.url)
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life -----------------------------------------------------------------------------------

    def start(self) -> Served:
        """Start `interlock serve`; return once it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=process_environment(self.settings),
                stdout=log,
                stderr=log,
            )
        self.pid = self._process.pid
        self.await_ready()
        return self

    def await_ready(self, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.client.get("/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.alive(), f"it died while it started: {self.said()[-2000:]}"
            time.sleep(0.02)
        raise AssertionError(f"it does not start: {self.said()[-2000:]}")

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        os.kill(self.pid, signal.SIGKILL)
        self.await_end()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.await_end()

    def await_end(self, seconds: float = 20) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it however it is."""
        if self.alive():
            self.kill()
        self.client.close()

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    # -- what is asked of it --------------------------------------------------------------------------

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

    # -- what the kernel says of it ---------------------------------------------------------------------

    def resident(self) -> int:
        """Its resident memory in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


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


class Life(Served):
    """A service born in the nursery: the same command, in a forked process that can be told at which step to die.

    `bounds` are `Config.call_seconds` and `whole_seconds`, where they are not to be the product's.
    """

    def __init__(
        self,
        nursery: Nursery,
        settings: dict[str, str],
        log: Path,
        *,
        port: int | None = None,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(settings, log, port=port)
        self._bounds = bounds
        self._nursery = nursery
        self._ended: int | None = None
        self._orders = log.with_suffix(".orders")
        self._tasks = log.with_suffix(".tasks")

    def start(self) -> Life:
        orders = {
            "environ": process_environment(self.settings),
            "port": self.port,
            "log": str(self.log),
            "orders": str(self._orders),
            "tasks": str(self._tasks),
            "bounds": self._bounds,
        }
        self._ended = None
        self.pid = self._nursery.ask({"do": "start"} | orders)
        self.await_ready()
        return self

    def alive(self) -> bool:
        if self._ended is None:
            answer = self._nursery.ask({"do": "poll", "pid": self.pid})
            self._ended = None if answer == RUNNING else answer
        return self._ended is None

    def await_end(self, seconds: float = 20) -> int:
        until = time.monotonic() + seconds
        while self.alive():
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.005)
        assert self._ended is not None
        return self._ended

    def order(self, **orders: Any) -> None:
        """Give it orders (see `nursery`): a step to die at, pages that the database may have."""
        beside = self._orders.with_suffix(".new")
        beside.write_text(json.dumps(orders))
        beside.replace(self._orders)
        os.kill(self.pid, signal.SIGUSR1)
        while self._orders.exists():  # taken away once it is heard
            assert Path(f"/proc/{self.pid}").exists()
            time.sleep(0.002)

    def tasks(self) -> int:
        """How many asyncio tasks it has."""
        self._tasks.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        until = time.monotonic() + 10
        while not self._tasks.exists() or not self._tasks.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.005)
        return int(self._tasks.read_text())


RUNNING: Final = 1_000


class Nursery:
    """A process with everything imported, which forks services: a life begins in a tenth of the time."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "nursery.log").open("wb")
        self._process = subprocess.Popen(
            [*PYTHON, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env=process_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._turn = threading.Lock()

    def ask(self, question: Obj) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
        self._log.close()
