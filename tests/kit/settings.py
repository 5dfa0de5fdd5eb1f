"""A service's settings for tests, its ports, and what proves who is speaking: signatures and users' tokens."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jwt

ROOT: Final = Path(__file__).parent.parent.parent
WEBHOOK_SECRET: Final = "whsec_test_0123456789abcdef0123456789abcdef"
JWT_SECRET: Final = "a-test-secret-that-is-longer-than-sixty-four-bytes-so-that-all-of-HS-fits"
ADMIN_TOKEN: Final = "operator-token-for-tests"
SERVICE_TOKEN: Final = "service-token-for-tests"
PLANS: Final = """
[access]
past_due_grace_days = 7

[plans.starter]
name = "Starter"
price = "price_starter"

[plans.pro]
name = "Pro"
price = "price_pro"
trial_days = 14
features = ["export", "sso"]

[plans.team]
name = "Team"
lookup_key = "team_monthly"
"""
"""The catalogue of every test that does not bring its own."""


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


def bearer(user: str) -> dict[str, str]:
    """Return the header of a user's token."""
    return {"Authorization": f"Bearer {make_token(user)}"}


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
        "SERVICE_TOKEN": SERVICE_TOKEN,
        "PLANS_FILE": str(plans),
        "APP_URL": "http://localhost:3000",
        "RECONCILE_EVERY": "0",
    }
    return {name: value for name, value in (settings | changes).items() if value is not None}


def process_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return a whole environment for a command of ours, started as `COMMAND`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"} | settings


PYTHON: Final = [sys.executable, "-W", "error", "-W", "ignore:Use 'content=:DeprecationWarning"]
"""Every warning is an error, but for the one that stripe's SDK calls forth in httpx at each POST."""
COMMAND: Final = [*PYTHON, "-m", "interlock.api.cli"]
