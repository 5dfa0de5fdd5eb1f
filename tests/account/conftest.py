"""The service and a stand-in Stripe that sells a catalogue, and users who do things with their subscriptions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from tests.clocks.stage import Life, Stage
from tests.kit.settings import bearer
from tests.tools.postgres import temporary_server

Obj = dict[str, Any]

PRICES: Final = {
    "starter": (1000, "month"),
    "pro": (2000, "month"),
    "pro_yearly": (30000, "year"),
    "team": (500, "month"),
    "old": (1500, "month"),
}
CATALOGUE: Final = """
[plans.starter]
name = "Starter"
lookup_key = "starter"
quantity = 1
features = ["basic"]

[plans.legacy]
name = "Legacy"
also = ["old"]
sold = false
features = ["basic"]

[plans.pro]
name = "Pro"
prices = { month = "pro", year = "pro_yearly" }
quantity = 1
features = ["basic", "export"]

[plans.team]
name = "Team"
lookup_key = "team"
quantity = { min = 2, max = 50 }
features = ["basic", "export", "sso"]

[cancel]
when = ["period_end", "now"]

[pause]
allowed = true
"""


class Desk(Stage):
    """The stage, with prices of the catalogue at Stripe."""

    def price(self, key: str) -> str:
        """Return the id of a price, made at Stripe when it is first asked for."""
        found = self.v1.prices.list({"lookup_keys": [key]}).data
        if found:
            return str(found[0].id)
        amount, interval = PRICES[key]
        given = {"product": "prod_pro", "currency": "usd", "unit_amount": amount, "lookup_key": key}
        return str(self.v1.prices.create({**given, "recurring": {"interval": interval}}).id)


class Holder(Life):
    """One user with one subscription."""

    def subscribe_to(self, key: str, *, card: str | None = "pm_card_visa", quantity: int = 1, **params: Any) -> None:
        """Begin on a test clock of their own."""
        desk = self.stage
        assert isinstance(desk, Desk)
        self.begin(card)
        item = {"price": desk.price(key), "quantity": quantity}
        self.subscribe(items=[item], **params)
        self.until(lambda state: state["subscription_id"] == self.id and state["plan"] is not None)

    def call(self, method: str, path: str, body: Obj | None = None, **headers: str) -> httpx.Response:
        """Ask the service as this user."""
        return self.stage.service.client.request(method, path, json=body, headers=bearer(self.user) | headers)

    def ask(
        self, method: str, path: str, body: Obj | None = None, status: int = 200, headers: dict[str, str] | None = None
    ) -> Obj:
        """The same, and the answer has this status."""
        answer = self.call(method, path, body, **(headers or {}))
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def refused(self, method: str, path: str, body: Obj | None = None) -> tuple[int, str]:
        """The status and the code of a refusal."""
        answer = self.call(method, path, body)
        assert answer.headers["Content-Type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    @property
    def state(self) -> Obj:
        return self.ask("GET", "/subscription")

    def until(self, so: Callable[[Obj], bool], seconds: float = 20) -> Obj:
        """Wait until what is shown is so."""
        end = time.monotonic() + seconds
        while not so(state := self.state):
            assert time.monotonic() < end, state
            time.sleep(0.03)
        return state


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The service on either database, once for the module."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, str] = {}
        if request.param == "postgres":
            settings["DATABASE_URL"] = stack.enter_context(temporary_server()).new_database()
        made = Desk(tmp_path_factory.mktemp("account"), CATALOGUE, **settings)
        stack.callback(made.close)
        for key in PRICES:
            made.price(key)
        yield made


@pytest.fixture
def holder(desk: Desk, request: pytest.FixtureRequest) -> Holder:
    """A user of their own for each test."""
    return Holder(desk, f"u_{abs(hash(request.node.nodeid)) % 10**9}", wait=False)
