"""The JSON of a user's state, exactly as it is promised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.core.states import Subscription
from interlock.engine.core.view import Standing, encode, rfc3339, view
from tests.engine.conftest import read
from tests.kit.bodies import DAY, MONTH, T0, Line, Sub
from tests.kit.settings import PLANS

CATALOGUE = read_catalogue(PLANS)


def shown(*subs: Sub, now: float = T0 + 60, **standing: Any) -> dict[str, Any]:
    held = [Subscription(subscription_id=sub.id, facts=read(sub), as_of=T0, since=T0) for sub in subs]
    state, _ = view(Standing(user_id="u_1", subscriptions=held, **standing), CATALOGUE, now)
    return msgspec.json.decode(encode(state, 7, T0 + 0.9))


def changes_at(*subs: Sub, now: float = T0 + 60) -> int | None:
    held = [Subscription(subscription_id=sub.id, facts=read(sub), as_of=T0, since=T0) for sub in subs]
    return view(Standing(user_id="u_1", subscriptions=held), CATALOGUE, now)[1]


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def test_the_state_is_the_contracts_json() -> None:
    """Every field by its name, and no other; times are RFC 3339 in UTC."""
    sub = Sub(status="past_due", lines=(Line(quantity=2),), trial_end=T0 - DAY, cancel_at=T0 + MONTH)
    assert shown(sub, has_customer=True) == {
        "user_id": "u_1", "state": "past_due",
        "access": {"granted": True, "reason": "grace_period", "until": time(T0 + 7 * DAY)},
        "plan": {"key": "pro", "name": "Pro", "features": ["export", "sso"], "quantity": 2, "price_id": "price_pro"},
        "subscription_id": "sub_1", "current_period_end": time(T0 + MONTH), "trial_end": time(T0 - DAY),
        "cancel_at": time(T0 + MONTH), "collection_paused": False,
        "available_actions": ["portal", "resume"], "version": 7, "updated_at": time(T0),
    }  # fmt: skip


def test_nobody_is_a_state_too() -> None:
    """A user with no subscription is `none`, with everything else null."""
    assert shown() == {
        "user_id": "u_1", "state": "none", "access": {"granted": False, "reason": "none", "until": None},
        "plan": None, "subscription_id": None, "current_period_end": None, "trial_end": None, "cancel_at": None,
        "collection_paused": False, "available_actions": ["checkout"], "version": 7, "updated_at": time(T0),
    }  # fmt: skip


def test_after_the_end_the_last_facts_stay_shown() -> None:
    """Which plan, which period: what was known stays."""
    state = shown(Sub(status="canceled", ended_at=T0))
    assert (state["state"], state["plan"]["key"], state["subscription_id"]) == ("canceled", "pro", "sub_1")
    assert state["current_period_end"] == time(T0 + MONTH)


def test_a_price_that_no_plan_names_is_shown_as_it_is() -> None:
    """`plan.key` and `plan.name` null, `features` empty, `price_id` and `quantity` given."""
    assert shown(Sub(lines=(Line(price="price_old", quantity=3),)))["plan"] == {
        "key": None, "name": None, "features": [], "quantity": 3, "price_id": "price_old",
    }  # fmt: skip


def test_the_item_that_a_plan_sells_is_the_plan() -> None:
    """Of several items the first that the catalogue names; by price or by lookup key."""
    extra = Line(price="price_seats", quantity=9)
    assert shown(Sub(lines=(extra, Line(quantity=2))))["plan"]["key"] == "pro"
    assert shown(Sub(lines=(extra, Line(quantity=2))))["plan"]["quantity"] == 2
    assert shown(Sub(lines=(extra, Line(price="price_x", lookup_key="team_monthly"))))["plan"]["key"] == "team"
    assert shown(Sub(lines=()))["plan"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_790_000_000.999, "2026-09-21T14:13:20Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (None, None),
    ],
)
def test_times_are_rfc_3339(seconds: float | None, text: str | None) -> None:
    """UTC, whole seconds, a Z."""
    assert rfc3339(seconds) == text


def test_no_time_of_stripes_is_too_late_to_be_shown() -> None:
    """A grace period that begins in the year 9999 is still written, not an error for a user to read."""
    assert rfc3339(253_402_300_799 + 7 * DAY) == "9999-12-31T23:59:59Z"
    last = Sub(status="past_due", cancel_at=253_402_300_799)
    held = Subscription(subscription_id="sub_1", facts=read(last), since=253_402_300_799)
    state, _ = view(Standing(user_id="u_1", subscriptions=[held]), CATALOGUE, T0)
    assert state.access.until == "9999-12-31T23:59:59Z"


def test_the_clock_changes_what_is_shown_at_the_first_of_all_changes() -> None:
    """Also one that is not shown may change what is: another subscription's access."""
    assert changes_at(Sub()) is None
    ending, grace = Sub(id="sub_a", cancel_at=T0 + 9 * DAY), Sub(id="sub_b", status="past_due")
    assert changes_at(ending) == T0 + 9 * DAY
    assert changes_at(ending, grace) == T0 + 7 * DAY
    paused = Sub(id="sub_c", pause_collection={"behavior": "void", "resumes_at": T0 + DAY})
    assert changes_at(ending, paused) == T0 + DAY
    assert shown(ending, paused)["subscription_id"] == "sub_a"
    assert shown(ending, paused, now=T0 + DAY)["subscription_id"] == "sub_c"
