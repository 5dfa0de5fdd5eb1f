"""What `interlock sandbox` promises beyond its pages: that both servers live on one clock, and say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from interlock.api.sandbox.core.outbox import KINDS
from tests.sandbox.command import Sandbox, started

DAY = 86_400


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The real command, once for the module, a month ahead of the real clock."""
    with started(tmp_path_factory.mktemp("command")) as running:
        running.panel("clock/advance", {"seconds": 30 * DAY})
        yield running


def test_an_answer_bears_one_date_and_it_is_the_sandboxs(sandbox: Sandbox) -> None:
    """Stripe's answers are dated once, by the clock that was advanced: the service measures its facts by it."""
    before = sandbox.panel("state")["now"]
    (date,) = sandbox.api("customers").headers.get_all("date", [])
    assert before <= parsedate_to_datetime(date).timestamp() <= sandbox.panel("state")["now"]
    assert before > time.time() + 29 * DAY


def test_a_lever_that_is_not_named_stays_where_it_is(sandbox: Sandbox) -> None:
    """One kind of mischief can be switched without a word of the others, as the account's settings can."""
    calm = dict.fromkeys(KINDS, 0)
    sandbox.panel("mischief", calm | {"twin": 1})
    assert sandbox.panel("mischief", {"delay": 0.5})["twin"] == 1
    sandbox.panel("mischief", calm)
    assert not any(sandbox.panel("state")["mischief"][kind] for kind in KINDS)


def until(looked: Callable[[], Any], wanted: Any) -> None:
    """Wait until what is looked at is what is wanted."""
    end = time.monotonic() + 15
    while (seen := looked()) != wanted:
        assert time.monotonic() < end, (seen, wanted)
        time.sleep(0.05)


def test_what_comes_late_on_an_advanced_clock_is_not_believed(sandbox: Sandbox) -> None:
    """An event from before Stripe's answer moves nothing, however far the clock was advanced: Stripe is asked again."""

    def shown(name: str) -> Any:
        return sandbox.mine("late", "subscription")[name]

    checkout = sandbox.mine("late", "checkout", {"plan": "starter"})
    sandbox.panel(f"checkout/{checkout['id']}/pay", {"card": "4242424242424242", "email": "late@example.com"})
    until(lambda: shown("state"), "active")
    path = f"subscriptions/{shown('subscription_id')}"
    item = sandbox.api(path).body["items"]["data"][0]["id"]
    sandbox.panel("mischief", {"drop": 1})
    for change in (f"items[0][id]={item}&items[0][quantity]=2&proration_behavior=none",
                   "cancel_at_period_end=true", "cancel_at_period_end=false"):  # fmt: skip
        sandbox.panel("clock/advance", {"seconds": 2})  # each at a time of its own: a tie would be asked about
        sandbox.api(path, change)
    sandbox.panel("mischief", {"drop": 0})
    newest, middle = [event["id"] for event in sandbox.api("events?type=customer.subscription.updated").body["data"]][
        :2
    ]

    sandbox.panel("deliveries/resend", {"event": newest})
    until(lambda: shown("plan")["quantity"], 2)
    sandbox.panel("deliveries/resend", {"event": middle})

    def came_of_it() -> list[str]:
        entries = sandbox.mine("late", "subscription/history")["items"]
        return [entry["outcome"] for entry in entries if entry["event_id"] == middle]

    until(lambda: len(came_of_it()), 2)
    assert came_of_it()[-1] == "pending"
    assert "applied" not in came_of_it()
    assert shown("cancel_at") is None
    assert sandbox.api(path).body["cancel_at"] is None
