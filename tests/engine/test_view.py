"""The JSON of a user's state, exactly as it is promised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from interlock.engine.core.catalogue import Catalogue, read_catalogue
from interlock.engine.core.holding import Grant, Holder, hold
from interlock.engine.core.states import Billing, Item, PendingUpdate, Phase, Schedule, Subscription
from interlock.engine.core.view import encode, rfc3339, view
from tests.engine.conftest import read
from tests.engine.held import CATALOGUE as MANY
from tests.engine.held import sub
from tests.kit.bodies import DAY, MONTH, T0, Line, Sub
from tests.kit.settings import PLANS

CATALOGUE = read_catalogue(PLANS)


def shown(*subs: Sub | Subscription, now: float = T0 + 60, catalogue: Catalogue = CATALOGUE, **holder: Any) -> Any:
    held = [one if isinstance(one, Subscription) else kept(one) for one in subs]
    state = view(hold(Holder(user_id="u_1", subscriptions=held, **holder), catalogue, now))
    return msgspec.json.decode(encode(state, 7, T0 + 0.9))


def kept(one: Sub, **changes: Any) -> Subscription:
    return Subscription(subscription_id=one.id, facts=read(one), as_of=T0, since=T0, **changes)


def changes_at(*subs: Sub, now: float = T0 + 60) -> int | None:
    return hold(Holder(user_id="u_1", subscriptions=[kept(one) for one in subs]), CATALOGUE, now).changes_at


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def test_the_state_is_the_contracts_json() -> None:
    """Every field by its name, in the contract's order, and no other; times are RFC 3339 in UTC."""
    billing = Billing(failure_code="insufficient_funds", next_attempt=T0 + 3 * DAY, open_invoice="in_1")
    one = Sub(status="past_due", lines=(Line(quantity=2),), trial_end=T0 - DAY, cancel_at=T0 + MONTH)
    state = shown(kept(one, unpaid_since=T0, billing=billing))
    assert state == {
        "user_id": "u_1", "state": "past_due",
        "access": {"granted": True, "reason": "grace_period", "until": time(T0 + 7 * DAY)},
        "plan": {"key": "pro", "name": "Pro", "features": ["export", "sso"], "quantity": 2, "price_id": "price_pro",
                 "interval": "month"},
        "addons": [], "features": ["export", "sso"],
        "subscription_id": "sub_1", "current_period_end": time(T0 + MONTH), "trial_end": time(T0 - DAY),
        "cancel_at": time(T0 + MONTH), "cancellation": {"at": time(T0 + MONTH), "reason": None, "comment": None},
        "collection_paused": False, "pending_change": None,
        "payment_problem": {"since": time(T0), "code": "insufficient_funds", "next_attempt_at": time(T0 + 3 * DAY)},
        "grant": None, "available_actions": ["portal", "cancel", "resume", "pay"],
        "version": 7, "updated_at": time(T0),
    }  # fmt: skip
    assert list(state) == [
        "user_id", "state", "access", "plan", "addons", "features", "subscription_id", "current_period_end",
        "trial_end", "cancel_at", "cancellation", "collection_paused", "pending_change", "payment_problem", "grant",
        "available_actions", "version", "updated_at",
    ]  # fmt: skip


def test_nobody_is_a_state_too() -> None:
    """A user with no subscription is `none`, with everything else null or empty."""
    assert shown() == {
        "user_id": "u_1", "state": "none", "access": {"granted": False, "reason": "none", "until": None},
        "plan": None, "addons": [], "features": [], "subscription_id": None, "current_period_end": None,
        "trial_end": None, "cancel_at": None, "cancellation": None, "collection_paused": False,
        "pending_change": None, "payment_problem": None, "grant": None, "available_actions": ["checkout"],
        "version": 7, "updated_at": time(T0),
    }  # fmt: skip


def test_after_the_end_the_last_facts_stay_shown() -> None:
    """Which plan, which period: what was known stays."""
    state = shown(Sub(status="canceled", ended_at=T0))
    assert (state["state"], state["plan"]["key"], state["subscription_id"]) == ("canceled", "pro", "sub_1")
    assert state["current_period_end"] == time(T0 + MONTH)


def test_without_access_the_plan_gives_no_features() -> None:
    """`plan` is the last known one, and `plan.features` is empty, and so is `features`."""
    state = shown(Sub(status="unpaid"))
    assert (state["plan"]["key"], state["plan"]["features"], state["features"]) == ("pro", [], [])


def test_kind_a_a_price_that_no_plan_names_is_nobodys() -> None:
    """The state is a stranger's: what we do not sell is not shown."""
    assert shown(Sub(lines=(Line(price="price_club", quantity=3),))) == shown()
    assert shown(Sub(lines=())) == shown()


@pytest.mark.parametrize(
    ("count", "interval", "text"),
    [(1, "month", "month"), (3, "month", "3 months"), (1, "year", "year"), (1, None, None)],
)
def test_kind_l_the_interval_says_how_many(count: int, interval: str | None, text: str | None) -> None:
    """75.00 each three months is not 75.00 a month."""
    one = sub("sub_1", Item("price_pro", interval=interval, interval_count=count))
    assert shown(one)["plan"]["interval"] == text


def test_kind_c_addons_are_listed_beside_the_plan() -> None:
    """Each with its own quantity, from whatever subscription gives it."""
    ai = Item("price_ai", quantity=3, interval="month")
    state = shown(sub("sub_1", "price_pro", ai), sub("sub_2", "price_storage"), catalogue=MANY)
    assert state["plan"]["key"] == "pro"
    assert state["addons"] == [
        {"key": "storage", "name": "Storage", "quantity": 1, "price_id": "price_storage"},
        {"key": "ai", "name": "AI", "quantity": 3, "price_id": "price_ai"},
    ]
    assert set(state["features"]) == {"projects", "export", "ai", "storage"}


def test_kind_n_a_scheduled_change_is_shown() -> None:
    """Whoever planned it: the first phase to come with other items says what and when."""
    now, later = Item("price_pro"), Item("price_starter", 2, interval="year")
    phases = (Phase(T0, T0 + MONTH, (now,)), Phase(T0 + MONTH, None, (later,)))
    one = sub("sub_1", now, schedule=Schedule("sub_sched_1", phases))
    assert shown(one, catalogue=MANY)["pending_change"] == {
        "plan": "starter", "quantity": 2, "interval": "year", "at": time(T0 + MONTH), "reason": "scheduled",
        "url": None, "expires_at": None,
    }  # fmt: skip
    same = sub("sub_1", now, schedule=Schedule("sub_sched_1", (phases[0], Phase(T0 + MONTH, None, (now,)))))
    unread = sub("sub_1", now, schedule=Schedule("sub_sched_1"))
    over = sub("sub_1", now, status="canceled", schedule=Schedule("sub_sched_1", phases))
    assert [shown(one, catalogue=MANY)["pending_change"] for one in (same, unread, over)] == [None] * 3


def test_kind_n_a_change_that_waits_for_its_payment_is_shown() -> None:
    """With the page to pay it on, and until when Stripe keeps it."""
    waiting = PendingUpdate(T0 + DAY, (Item("price_pro_year", interval="year"),))
    billing = Billing(open_invoice="in_2", open_url="https://pay")
    assert shown(sub("sub_1", pending_update=waiting, billing=billing), catalogue=MANY)["pending_change"] == {
        "plan": "pro", "quantity": 1, "interval": "year", "at": None, "reason": "payment", "url": "https://pay",
        "expires_at": time(T0 + DAY),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"cancel_at": T0 + MONTH, "cancel_reason": "cancellation_requested", "cancel_comment": "bye"},
         {"at": time(T0 + MONTH), "reason": "cancellation_requested", "comment": "bye"}),
        ({"cancel_at": T0 + MONTH, "cancel_reason": "cancellation_requested", "cancel_feedback": "too_complex"},
         {"at": time(T0 + MONTH), "reason": "too_complex", "comment": None}),
        ({"status": "canceled", "ended_at": T0 + 5, "cancel_reason": "payment_failed"},
         {"at": time(T0 + 5), "reason": "payment_failed", "comment": None}),
        ({"status": "incomplete_expired", "ended_at": T0 + 5}, None),
    ],
)  # fmt: skip
def test_a_cancellation_says_when_and_why(facts: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """When it ends or ended; what the user chose stands before Stripe's own word."""
    assert shown(sub("sub_1", **facts))["cancellation"] == expected


def test_a_payment_problem_is_shown_while_it_lives() -> None:
    """Since the first failure of the open invoice; nothing of it after the end."""
    problem = {"since": time(T0), "code": None, "next_attempt_at": None}
    assert shown(sub("sub_1", status="unpaid", unpaid_since=T0))["payment_problem"] == problem
    assert shown(sub("sub_1", status="canceled", unpaid_since=T0))["payment_problem"] is None


def test_a_grant_is_shown() -> None:
    """Beside whatever is billed; its plan has no price."""
    state = shown(grant=Grant("pro", T0 + DAY))
    assert state["grant"] == {"plan": "pro", "until": time(T0 + DAY)}
    assert state["access"] == {"granted": True, "reason": "grant", "until": time(T0 + DAY)}
    assert (state["plan"]["key"], state["plan"]["price_id"], state["plan"]["interval"]) == ("pro", None, None)


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
    assert shown(held)["access"]["until"] == "9999-12-31T23:59:59Z"


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
