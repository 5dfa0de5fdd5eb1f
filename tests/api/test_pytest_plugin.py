"""The pytest plugin as a project of somebody else's uses it: four lives over months, under either async plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.settings import process_environment

PLANS = """
[plans.starter]
name = "Starter"
lookup_key = "starter_monthly"
features = ["projects"]
amount = 900

[plans.pro]
name = "Pro"
lookup_key = "pro_monthly"
trial_days = 14
features = ["projects", "export"]
amount = 2900
"""
LIVES = """
import json

import pytest


async def state(interlock, user):
    return json.loads((await interlock.state(user)).body)


async def test_a_trial_becomes_a_paying_customer(stripe, interlock, subscribed):
    await subscribed("ann", "pro")
    assert (await state(interlock, "ann"))["state"] == "trialing"
    await stripe.advance(days=15)
    ann = await state(interlock, "ann")
    assert (ann["state"], ann["access"]["reason"]) == ("active", "paid")
    await stripe.advance(days=90)
    assert (await state(interlock, "ann"))["access"]["granted"]


async def test_a_card_fails_and_access_ends(stripe, interlock, subscribed):
    await subscribed("bob", "starter")
    await stripe.decline_next("bob")
    await stripe.advance_to("period_end", "bob")
    bob = await state(interlock, "bob")
    assert (bob["state"], bob["access"]["reason"]) == ("past_due", "grace_period")
    await stripe.advance(days=40)
    assert not (await state(interlock, "bob"))["access"]["granted"]


async def test_a_failed_payment_recovers(stripe, interlock, subscribed):
    await subscribed("cyd", "starter")
    await stripe.decline_next("cyd")
    await stripe.advance_to("period_end", "cyd")
    await stripe.accept_next("cyd")
    await stripe.advance(days=7)
    assert (await state(interlock, "cyd"))["state"] == "active"


async def test_a_bank_wants_to_be_asked(stripe, interlock, subscribed):
    await subscribed("dan", "starter")
    await stripe.require_action("dan")
    await stripe.advance_to("period_end", "dan")
    assert (await state(interlock, "dan"))["state"] == "past_due"
"""
INERT = """
import sys


def test_nothing_of_it_is_loaded():
    assert not [name for name in sys.modules if name.startswith(("interlock.engine", "litestar", "stripe"))]
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=process_environment({}), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("of", ["anyio", "pytest-asyncio"])
def test_four_lives_over_months(of: str, tmp_path: Path) -> None:
    """A project's own tests: trial, failed card, recovery, 3-D Secure; clock, webhooks and database are real."""
    (tmp_path / "plans.toml").write_text(PLANS, "utf-8")
    mark = "anyio" if of == "anyio" else "asyncio"
    (tmp_path / "test_lives.py").write_text(f"{LIVES}\n\npytestmark = pytest.mark.{mark}\n", "utf-8")
    backend = '@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'
    (tmp_path / "conftest.py").write_text(f"import pytest\n\n\n{backend}", "utf-8")
    loop = ["-p", "no:asyncio"] if of == "anyio" else ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = run(tmp_path, *loop)
    assert "4 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]


def test_it_is_inert_until_it_is_used(tmp_path: Path) -> None:
    """A project that has it installed and does not use it loads nothing of it."""
    (tmp_path / "test_inert.py").write_text(INERT, "utf-8")
    done = run(tmp_path, "-p", "no:asyncio")
    assert "1 passed" in done.stdout, done.stdout[-3000:]
    assert "subscribed" in run(tmp_path, "-p", "no:asyncio", "--fixtures").stdout
