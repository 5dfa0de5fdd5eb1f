"""What every test may use: a real service on a real socket, signed events, users' tokens.  No mocks."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import jwt
import pytest
import uvicorn
from hypothesis import HealthCheck, settings

from interlock.api.app import create_app
from interlock.api.http.server import listen, server_config
from interlock.api.settings import load_settings
from tests import counts
from tests.reliability.scale import Figure
from tests.sandbox.watch import misfits, watch

# The same examples in every run, and no bound on their time: a busy machine is no failure of the code's.
settings.register_profile(
    "house", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

ROOT: Final = Path(__file__).parent.parent
WEBHOOK_SECRET: Final = "whsec_test_0123456789abcdef0123456789abcdef"
JWT_SECRET: Final = "a-test-secret-that-is-longer-than-sixty-four-bytes-so-that-all-of-HS-fits"
ADMIN_TOKEN: Final = "operator-token-for-tests"
PLANS: Final = """
[plans.starter]
name = "Starter"
price = "price_starter"

[plans.pro]
name = "Pro"
price = "price_pro"
trial_days = 14
features = ["export", "sso"]
"""


def _own_ports() -> Iterator[int]:
    """The ports of this worker of a test run: it alone starts services on them, and the system gives out none."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    own = range(11_000 + int(worker.removeprefix("gw")), 32_000, int(workers))
    begin = random.SystemRandom().randrange(len(own))  # another run on this machine begins elsewhere
    return itertools.cycle([*own[begin:], *own[:begin]])


_ports: Final = _own_ports()


def free_port() -> int:
    """Return a port that nothing listens on, and that stays free until the service that is told of it listens."""
    while True:
        port = next(_ports)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def sign(payload: bytes, secret: str = WEBHOOK_SECRET, t: float | None = None) -> str:
    """Return the Stripe-Signature of a payload."""
    at = int(time.time() if t is None else t)
    digest = hmac.new(secret.encode(), b"%d." % at + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def make_token(sub: Any = "u_1", *, key: Any = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """Return a user's token, good for an hour; a claim given as None is left out."""
    given = {"sub": sub, "exp": int(time.time()) + 3600} | claims
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm=algorithm)


def subscription_event(
    user_id: str, *, sub_id: str = "sub_1", status: str = "active", event_id: str = "evt_1", created: int = 0
) -> dict[str, Any]:
    """Return a `customer.subscription.created` as Stripe sends it, about a subscription of this user."""
    created = created or int(time.time())
    subscription = {
        "id": sub_id,
        "object": "subscription",
        "status": status,
        "customer": f"cus_of_{sub_id}",
        "created": created,
        "livemode": False,
        "metadata": {"user_id": user_id},
        "items": {
            "object": "list",
            "data": [
                {
                    "id": f"si_{sub_id}",
                    "price": {"id": "price_pro", "lookup_key": None},
                    "quantity": 1,
                    "current_period_end": created + 30 * 86_400,
                }
            ],
        },
        "cancel_at": None,
        "cancel_at_period_end": False,
        "collection_method": "charge_automatically",
    }
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "livemode": False,
        "type": "customer.subscription.created",
        "data": {"object": subscription},
    }


def environment(folder: Path, **changes: str | None) -> dict[str, str]:
    """Return settings of a service that lives in a folder; None takes one away.  Nothing answers as Stripe."""
    plans = folder / "plans.toml"
    if not plans.exists():
        plans.write_text(PLANS, "utf-8")
    settings: dict[str, str | None] = {
        "STRIPE_SECRET_KEY": "sk_test_0123456789abcdef",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "DATABASE_URL": f"sqlite:///{folder / 'interlock.db'}",
        "JWT_SECRET": JWT_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "PLANS_FILE": str(plans),
        "APP_URL": "http://localhost:3000",
        "RECONCILE_EVERY": "0",
    }
    return {name: value for name, value in (settings | changes).items() if value is not None}


def process_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return a whole environment for a command of ours, started as `python -m api.cli`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"} | settings


COMMAND: Final = [sys.executable, "-W", "error", "-m", "interlock.api.cli"]


class Service:
    """A running service: its address, and a client that speaks to it."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.app = create_app(load_settings(settings))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._bound = listen("127.0.0.1", self.port)
        self._server = uvicorn.Server(server_config(self.app))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def _run(self) -> None:
        self._server.run(sockets=[self._bound])

    def start(self) -> None:
        self._thread.start()
        until = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive(), "the service could not start"
            assert time.monotonic() < until, "the service does not start"
            time.sleep(0.01)

    def begin_stop(self) -> None:
        """Ask it to stop, as a signal would."""
        self._server.should_exit = True

    def stop(self) -> None:
        self.client.close()
        self.begin_stop()
        self._thread.join(30)
        self._bound.close()
        assert not self._thread.is_alive(), "the service does not stop"

    def get(self, path: str, user: str | None = None, **options: Any) -> httpx.Response:
        return self.request("GET", path, user, **options)

    def request(self, method: str, path: str, user: str | None = None, **options: Any) -> httpx.Response:
        """Ask as a user; None asks without a token."""
        headers = dict(options.pop("headers", {}))
        if user is not None:
            headers["Authorization"] = f"Bearer {make_token(user)}"
        return self.client.request(method, path, headers=headers, **options)

    def deliver(self, event: dict[str, Any] | bytes, signature: str | None = None) -> httpx.Response:
        """Deliver an event as Stripe would."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = {"Stripe-Signature": signature or sign(body), "Content-Type": "application/json"}
        return self.client.post("/webhooks/stripe", content=body, headers=headers)


class StartService(Protocol):
    """Starts a service with changed settings."""

    def __call__(self, **changes: str | None) -> Service: ...


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that leave nothing behind but their own users."""
    running = Service(environment(tmp_path_factory.mktemp("service")))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start services of one's own; each is stopped at the end."""
    started: list[Service] = []

    def start(**changes: str | None) -> Service:
        running = Service(environment(tmp_path, **changes))
        started.append(running)
        running.start()
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def new_user() -> Callable[[], str]:
    """Name users that no other test has."""
    return lambda: f"u_{os.urandom(6).hex()}"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note a row's measured figure, with the seconds since the test began; the summary prints it as `ROW n: …`."""
    begun = time.perf_counter()

    def note(row: int, text: str) -> None:
        record_property("row", (row, f"ROW {row}: {text} ({time.perf_counter() - begun:.1f} s)"))

    return note


@pytest.fixture(scope="session", autouse=True)
def watched() -> Iterator[None]:
    """Every stand-in Stripe in this process is watched, from the first test to the end of the last."""
    with pytest.MonkeyPatch.context() as patch:
        watch(patch)
        yield
    assert not misfits, misfits


@pytest.fixture(autouse=True)
def all_fit(watched: None) -> Iterator[None]:
    """What a stand-in answered or emitted during a test is what Stripe would send."""
    yield
    found = misfits.copy()
    misfits.clear()
    assert not found, "\n".join(found[:5])


@pytest.fixture
def misfits_meant() -> Iterator[None]:
    """For a test that spoils the stand-in's objects, or asks what no client would: what misfits is only counted."""
    yield
    counts.unheld["bodies that do not fit, as was meant"] += len(misfits)
    misfits.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker process, hand what was counted to the run that started it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output.update(validated=dict(counts.validated), unheld=dict(counts.unheld), told=counts.told)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker process counted."""
    output: dict[str, Any] = getattr(node, "workeroutput", {})
    counts.validated.update(output.get("validated", {}))
    counts.unheld.update(output.get("unheld", {}))
    counts.told.extend(output.get("told", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that a test of this run noted, by row of the README's table of guarantees."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [value for report in reports for name, value in report.user_properties if name == "row"]
    lines = [line for _, line in sorted(figures, key=lambda figure: figure[0])] + counts.told
    lines += [f"validated against Stripe's schemas: {n} {name}" for name, n in sorted(counts.validated.items())]
    lines += [f"not validated: {n} {name}" for name, n in sorted(counts.unheld.items())]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
