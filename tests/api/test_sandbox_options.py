"""`interlock sandbox`: one's own plans, any free port, and the stand-in alone for a service of one's own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import stripe

from tests.kit.settings import COMMAND, process_environment

PLANS = """
[plans.solo]
name = "Solo"
prices = { month = "solo_monthly", year = "solo_yearly" }
amounts = { month = 700, year = 7000 }
currency = "eur"
"""


@contextmanager
def sandbox(*arguments: str) -> Generator[str]:
    """Run it, and yield what it says at the start."""
    command = [*COMMAND, "sandbox", "--port", "0", "--stripe-port", "0", *arguments]
    run = subprocess.Popen(command, env=process_environment({}), stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    said = ""
    try:
        while "Ctrl-C" not in said:
            line = run.stdout.readline()
            assert line, "it ended"
            said += line
        yield said
    finally:
        run.terminate()
        assert run.wait(20) == 0
        run.stdout.close()


def retrying(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=20, trust_env=False, transport=httpx.HTTPTransport(retries=8))


def test_plans_of_ones_own(tmp_path: Path) -> None:
    """A file with amounts beside its prices is the catalogue, on whichever ports were free."""
    (tmp_path / "mine.toml").write_text(PLANS, "utf-8")
    with sandbox("--plans", str(tmp_path / "mine.toml")) as said:
        (url,) = re.findall(r"Interlock +(\S+)", said)
        with retrying(url) as client:
            plans = client.get("/plans").json()["items"]
    assert [plan["key"] for plan in plans] == ["solo"]


def test_the_stand_in_alone(tmp_path: Path) -> None:
    """`--no-service` prints what a service of one's own needs, and sells the same plans through Stripe's own SDK."""
    (tmp_path / "mine.toml").write_text(PLANS, "utf-8")
    hook = "http://127.0.0.1:9/webhooks/stripe"
    with sandbox("--no-service", "--plans", str(tmp_path / "mine.toml"), "--webhook-url", hook) as said:
        given = dict(re.findall(r"^ +([A-Z_]+)=(\S+)$", said, re.MULTILINE))
        assert set(given) == {"STRIPE_API_BASE", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SANDBOX_CLOCK"}
        with retrying(given["SANDBOX_CLOCK"]) as client:
            assert client.get("/_sandbox/state").json()["offset"] == 0
        account = stripe.StripeClient(given["STRIPE_SECRET_KEY"], base_addresses={"api": given["STRIPE_API_BASE"]})
        assert [endpoint.url for endpoint in account.v1.webhook_endpoints.list().data] == [hook]
        assert account.v1.prices.list().data
