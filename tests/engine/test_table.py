"""The table: data only, whole, and with no way out of an end."""

from __future__ import annotations

from collections import Counter

import pytest

from interlock.engine.core.states import ENDED, LIVING, State
from interlock.engine.core.table import TRANSITIONS
from interlock.engine.wire.events import EVENT_TYPES

# Stripe's lifecycle, as the triggers of the field's own words: (from, to) → trigger.
LIFECYCLE = {
    ("none", "trialing"): "start_trial",
    ("none", "active"): "activate",
    ("none", "incomplete"): "await_payment",
    ("incomplete", "active"): "activate",
    ("incomplete", "incomplete_expired"): "expire",
    ("incomplete", "canceled"): "cancel",
    ("incomplete", "trialing"): "start_trial",
    ("trialing", "active"): "activate",
    ("trialing", "past_due"): "fail_payment",
    ("trialing", "paused"): "pause",
    ("trialing", "canceled"): "cancel",
    ("active", "active"): "update",
    ("active", "past_due"): "fail_payment",
    ("active", "trialing"): "start_trial",
    ("active", "paused"): "pause",
    ("past_due", "paused"): "pause",
    ("unpaid", "paused"): "pause",
    ("active", "canceled"): "cancel",
    ("past_due", "active"): "recover",
    ("past_due", "unpaid"): "mark_unpaid",
    ("past_due", "canceled"): "cancel",
    ("past_due", "past_due"): "update",
    ("unpaid", "active"): "recover",
    ("unpaid", "unpaid"): "update",
    ("unpaid", "canceled"): "cancel",
    ("active", "unpaid"): "mark_unpaid",
    ("paused", "active"): "resume",
    ("paused", "past_due"): "fail_payment",
    ("paused", "paused"): "update",
    ("paused", "canceled"): "cancel",
}


def test_no_trigger_leaves_a_state_twice() -> None:
    """A trigger in a state has one meaning: no pair of trigger and source stands twice."""
    assert [pair for pair, n in Counter((t.trigger, t.source) for t in TRANSITIONS).items() if n > 1] == []


@pytest.mark.parametrize("state", sorted(ENDED))
def test_nothing_leads_out_of_an_end(state: State) -> None:
    """An ended subscription never lives again: no row begins there."""
    assert [t for t in TRANSITIONS if t.source is state] == []


@pytest.mark.parametrize("state", sorted(set(State) - {State.NONE}))
def test_every_state_is_reached_by_a_named_step(state: State) -> None:
    """Each of the eight statuses is the destination of a trigger of its own, not of `correct` alone."""
    assert [t for t in TRANSITIONS if t.destination is state and t.source is not state]


@pytest.mark.parametrize(("pair", "trigger"), list(LIFECYCLE.items()))
def test_every_direct_change_of_stripes_has_its_row(pair: tuple[str, str], trigger: str) -> None:
    """Each row of Stripe's lifecycle table is a row here, under the field's word for it."""
    rows = [t for t in TRANSITIONS if (t.source, t.destination) == pair]
    assert [t.trigger for t in rows if t.trigger != "vanish"] == [trigger]


@pytest.mark.parametrize("state", sorted(LIVING))
def test_only_stripes_answer_may_correct(state: State) -> None:
    """Any change between living states is possible, and only under the guard that Stripe was asked."""
    (row,) = [t for t in TRANSITIONS if t.source is state and t.trigger == "correct"]
    assert row.destination is None
    assert [guard.__name__ for guard in row.guards] == ["stripe_was_asked"]


@pytest.mark.parametrize("state", sorted(LIVING))
def test_kind_e_only_stripes_absence_may_vanish(state: State) -> None:
    """Whatever lives may turn out to be gone at Stripe; it is canceled then, and by nothing less."""
    (row,) = [t for t in TRANSITIONS if t.source is state and t.trigger == "vanish"]
    assert row.destination is State.CANCELED
    assert [guard.__name__ for guard in row.guards] == ["stripe_has_it_no_more"]


def test_every_row_is_told_in_words() -> None:
    """The diagram and the README are made of these: each row says why, and each guard and event is a real one."""
    for row in TRANSITIONS:
        assert row.why
        assert row.why == row.why.strip()
        assert set(row.events) <= set(EVENT_TYPES), row
        assert all(guard.__doc__ for guard in row.guards), row
        assert row.events or row.trigger in {"correct", "vanish"}, "each trigger names the events that announce it"


def test_a_living_change_is_never_unguarded() -> None:
    """Between living states nothing moves on a message's bare word."""
    bare = [t for t in TRANSITIONS if t.source in LIVING and t.destination not in ENDED and not t.guards]
    assert bare == []
