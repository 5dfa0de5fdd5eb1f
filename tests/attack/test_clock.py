"""The clock steps back, or an event comes from the future: nobody gains by it, and the truth is found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from interlock.api.app import create_app
from interlock.api.http.server import server_config
from interlock.api.settings import load_settings
from tests.attack.test_isolation import until
from tests.attack.victim import Obj, Victim
from tests.kit.bodies import UPDATED, event, fresh, previous_attributes, subscription_event
from tests.kit.service import Service
from tests.kit.settings import environment, make_token, sign
from tests.kit.stripe import StandIn


class Clocked(Service):
    """A service that reads a clock of the test's own."""

    def __init__(self, settings: dict[str, str], clock: Callable[[], float]) -> None:
        super().__init__(settings)
        read = load_settings(settings)
        self.app = create_app(read, config=read.engine_config(clock=clock))
        self._server = uvicorn.Server(server_config(self.app))


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def clocked(tmp_path: Path, hand: Hand) -> Iterator[Clocked]:
    running = Clocked(environment(tmp_path), hand)
    running.start()
    yield running
    running.stop()


def test_a_clock_that_steps_back(clocked: Clocked, hand: Hand) -> None:
    """An hour back: the version never falls, what was shown stays; tokens and signatures are judged by the new now."""
    user, start = fresh("u"), hand.now
    told = subscription_event(user, sub_id=fresh("sub"), event_id=fresh("evt"), created=int(start))
    token = {"Authorization": f"Bearer {make_token(user, exp=int(start) + 600, nbf=int(start) - 60)}"}
    assert clocked.deliver(told, sign(_body(told), t=start)).json()["outcome"] == "applied"
    shown = clocked.client.get("/subscription", headers=token)
    assert shown.json()["state"] == "active"

    hand.now = start - 3_600
    stale = event("product.created", {"id": "prod_1"})
    assert clocked.deliver(stale, sign(_body(stale), t=start)).status_code == 400, "a signature from the future"
    assert clocked.deliver(stale, sign(_body(stale), t=hand.now)).status_code == 200
    assert clocked.client.get("/subscription", headers=token).status_code == 401, "a token that is not valid yet"
    early = {"Authorization": f"Bearer {make_token(user, exp=int(start) + 600)}"}
    again = clocked.client.get("/subscription", headers=early)
    assert (again.content, again.headers["etag"]) == (shown.content, shown.headers["etag"])
    before: Obj = told["data"]["object"]
    after = before | {"cancel_at_period_end": True}
    update = event(UPDATED, after, created=int(start) + 5, previous=previous_attributes(before, after))
    assert clocked.deliver(update, sign(_body(update), t=hand.now)).json()["outcome"] == "applied"
    changed = clocked.client.get("/subscription", headers=early).json()
    assert changed["version"] > shown.json()["version"]
    assert changed["access"]["reason"] == "ending"
    seqs = [entry["seq"] for entry in clocked.client.get("/subscription/history", headers=early).json()["items"]]
    assert seqs == sorted(seqs, reverse=True), "newest first, by order and not by the clock"

    hand.now = start + 300
    assert clocked.client.get("/subscription", headers=token).status_code == 200
    assert clocked.client.get("/subscription", headers=token).json()["version"] >= changed["version"]
    hand.now = start + 601
    for expired in (token, early):
        assert clocked.client.get("/subscription", headers=expired).status_code == 401


def test_a_clock_that_goes_to_and_fro(clocked: Clocked, hand: Hand) -> None:
    """Around the end of the grace, to and fro: the version only rises, and access is what is right at that moment."""
    user, start = fresh("u"), int(hand.now)
    told = subscription_event(user, sub_id=fresh("sub"), event_id=fresh("evt"), status="past_due", created=start)
    assert clocked.deliver(told, sign(_body(told), t=start)).json()["outcome"] in ("applied", "pending")
    versions: list[int] = []
    for days in (0, 6, 8, 6, 8, -30, 8, 0, 20):
        hand.now = start + days * 86_400.0
        headers = {"Authorization": f"Bearer {make_token(user, exp=start + 10**8)}"}
        state = clocked.client.get("/subscription", headers=headers).json()
        versions.append(state["version"])
        if days in (8, 20):
            assert not state["access"]["granted"], days
    assert versions == sorted(versions)


def _body(told: Obj) -> bytes:
    """The bytes that `Service.deliver` sends."""
    import json

    return json.dumps(told).encode()


@pytest.mark.parametrize("ahead", [3_600, 10 * 365 * 86_400, 2**33, 2**53 - 1, 2**53, 2**63, 10**30])
def test_an_event_from_the_future(shop: Victim, stripe_side: StandIn, ahead: int) -> None:
    """`created` in the future does not outrank what Stripe says: the end that comes after it is believed."""
    user = fresh("u")
    sub = stripe_side.subscribe(user)
    future = event("customer.subscription.created", sub, created=int(time.time()) + ahead)
    assert shop.deliver(future).status == 200
    until(lambda: shop.state(user)["state"] == "active")
    ended = stripe_side.cancel(sub["id"])
    assert shop.deliver(event("customer.subscription.deleted", ended, created=int(time.time()))).status == 200
    until(lambda: shop.state(user)["state"] == "canceled")
    assert shop.get("/subscription/history", user).status == 200
    assert shop.errors() == []
