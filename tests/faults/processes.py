"""Services that die at a named step, forked from a process that has everything imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final, Self

from tests.kit.process import Served
from tests.kit.settings import PYTHON, ROOT, environment, process_environment

Obj = dict[str, Any]


def settings_in(folder: Path, stripe_url: str, **changes: str | None) -> dict[str, str]:
    """Return a service's settings: its files in a folder, and the stand-in as its Stripe."""
    folder.mkdir(parents=True, exist_ok=True)
    return environment(folder, STRIPE_API_BASE=stripe_url, **changes)


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

    def begin(self) -> Self:
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
