"""A catalogue of one's own sold by the stand-in, and the page that documents its panel."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.api.sandbox import World
from interlock.api.sandbox.catalogue import stock
from tests.sandbox.bench import NOW
from tests.sandbox.live import Live

Obj = dict[str, Any]
PLANS: list[Obj] = [
    {"key": "pro", "name": "Pro", "prices": {"month": "pro_monthly", "year": "price_pro_year"}, "currency": "eur",
     "amounts": {"month": 2900, "year": 29000}, "also": ["price_2023"], "product": "prod_ours", "features": ["sso"]},
    {"key": "api", "lookup_key": "api_calls", "amount": 2, "meter": "api_requests"},
    {"key": "team", "price": "price_team", "amount": 9900, "interval": "week"},
]  # fmt: skip


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A stand-in on a port."""
    live = Live()
    yield live
    live.close()


def stocked() -> World:
    """A world that sells these plans; stocked twice, as after a restart."""
    world = World(now=NOW)
    for plan in PLANS * 2:
        world.operate(lambda plan=plan: stock(world, plan))
    return world


def test_a_catalogue_is_sold_as_it_is_written() -> None:
    """Several intervals, an id or a lookup key for each, old prices, a product of its own: there once, and no more."""
    sold = {
        str(price["lookup_key"] or price["id"]): (
            price["product"], price["unit_amount"], price["currency"], price["recurring"]["interval"],
            price["recurring"]["usage_type"],
        )
        for price in stocked().request("GET", "/v1/prices", {"limit": 100}).body["data"]
    }  # fmt: skip
    assert sold == {
        "pro_monthly": ("prod_ours", 2900, "eur", "month", "licensed"),
        "price_pro_year": ("prod_ours", 29000, "eur", "year", "licensed"),
        "price_2023": ("prod_ours", 0, "eur", "month", "licensed"),
        "api_calls": ("prod_api", 2, "usd", "month", "metered"),
        "price_team": ("prod_team", 9900, "usd", "week", "licensed"),
    }


def test_a_metered_plan_has_its_meter() -> None:
    """The meter of a plan counts by the event's name that the catalogue gives."""
    (meter,) = stocked().request("GET", "/v1/billing/meters").body["data"]
    assert meter["event_name"] == "api_requests"


def test_the_panels_page_documents_what_is_there(live: Live) -> None:
    """Each route that the page tells of answers; the page shows the endpoint's address and what is sold."""
    page = live.http.get("/_sandbox").text
    routes = re.findall(r"<td>(GET|POST)<td><code>(/_sandbox[^<]*)</code>", page)
    assert len(routes) >= 12
    for method, path in routes:
        answer = live.http.request(method, path.replace("BUTTON", "nothing"), json={})
        missing = answer.status_code == 404 and "BUTTON" not in path
        assert not missing or answer.json()["error"]["code"] == "resource_missing", (method, path, answer.text)
    assert "price_pro" in page


def test_the_clock_can_be_followed(live: Live) -> None:
    """`now` is real time and `offset`, so that a service beside the stand-in can go by its clock."""
    live.panel("clock/advance", {"seconds": 3_600})
    state = live.http.get("/_sandbox/state").json()
    assert abs(state["now"] - time.time() - state["offset"]) < 2
    assert state["offset"] > 3_599


def test_the_calls_are_listed(live: Live) -> None:
    """What the service asked of Stripe can be looked at, without its key."""
    live.stripe.v1.customers.list()
    newest = live.http.get("/_sandbox/calls").json()["calls"][0]
    assert (newest["method"], newest["path"], sorted(newest)) == ("GET", "/v1/customers", ["at", "method", "path"])
