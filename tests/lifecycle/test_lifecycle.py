"""Every row of Stripe's lifecycle table, played as Stripe plays it: signed webhooks to a real server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.kit.bodies import DAY, DELETED, MONTH, Line, Obj, event, fresh
from tests.lifecycle.conftest import Play, Played

REASONS = {
    "none": "none", "trialing": "trialing", "active": "paid", "past_due": "grace_period", "unpaid": "unpaid",
    "paused": "paused", "canceled": "canceled", "incomplete": "incomplete", "incomplete_expired": "expired",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing that happens at Stripe and is told: an update, another event of the subscription, or a bill's."""

    kind: str
    changes: Obj

    def tell(self, played: Played) -> Obj:
        life, at = played.life, played.at
        changes: Obj = {name: value(played) if callable(value) else value for name, value in self.changes.items()}
        match self.kind.partition(" "):
            case "update", _, _:
                return life.update(at, **changes)
            case "end", _, _:
                return life.end(at, **changes)
            case "say", _, name:
                return life.say(name, at, **changes)
            case "bill", _, name:
                return life.bill(name, at, status=changes.pop("status"), **changes)
            case _:
                return event(self.kind, {"customer": life.sub.customer, "id": life.sub.customer}, created=at)


def update(**changes: Any) -> Step:
    return Step("update", changes)


def end(**changes: Any) -> Step:
    return Step("end", changes)


def say(name: str, **changes: Any) -> Step:
    return Step(f"say {name}", changes)


def bill(name: str, status: str, **changes: Any) -> Step:
    return Step(f"bill {name}", {**changes, "status": status})


@dataclass(frozen=True)
class Row:
    """A row: from a state, by these steps, to a state; under which trigger the change itself is written down."""

    source: str
    destination: str
    trigger: str
    how: str
    steps: tuple[Step, ...]
    begun: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.source}→{self.destination}: {self.how}"


def row(source: str, destination: str, trigger: str, how: str, *steps: Step, **begun: Any) -> Row:
    return Row(source, destination, trigger, how, steps, tuple(begun.items()))


def later(seconds: int) -> Callable[[Played], int]:
    """A time after now, wherever the life stands."""
    return lambda played: played.at + 3_600 + seconds


def at_once(played: Played) -> int:
    return played.at


def renewed(played: Played) -> tuple[Line, ...]:
    (line,) = played.life.sub.lines
    return (Line(price=line.price, ends=line.ends + MONTH),)


def new_bill(_: Played) -> str:
    return fresh("in")


PAID = bill("paid", "paid", attempts=1)
FINALIZED = bill("finalized", "open")
FAILED = bill("payment_failed", "open", attempts=1)
ACTION = bill("payment_action_required", "open", attempts=1)
OVERDUE = bill("overdue", "open")
UNCOLLECTIBLE = bill("marked_uncollectible", "uncollectible", attempts=4)
VOIDED = bill("voided", "void")
ENTITLEMENTS = Step("entitlements.active_entitlement_summary.updated", {})
CUSTOMER_GONE = Step("customer.deleted", {})
NEXT_BILL = update(lines=renewed, latest_invoice=new_bill)

ROWS = [
    row("none", "trialing", "start_trial", "created with a trial", FINALIZED, PAID, trial_end=14 * DAY),
    row("none", "active", "activate", "created and paid", FINALIZED, PAID),
    row("none", "active", "activate", "created with nothing to pay", latest_invoice=None),
    row("none", "active", "activate", "created, bills are sent", FINALIZED, collection_method="send_invoice"),
    row("none", "active", "activate", "a delayed method that fails later", FINALIZED, VOIDED),
    row("none", "incomplete", "await_payment", "the first payment fails", FINALIZED, FAILED),
    row("none", "incomplete", "await_payment", "the first payment needs the customer", FINALIZED, ACTION),
    row("incomplete", "active", "activate", "the first invoice is paid", update(status="active"), PAID),
    row("incomplete", "active", "activate", "the same, the bill's event first", PAID, update(status="active")),
    row("incomplete", "incomplete_expired", "expire", "23 hours without payment",
        update(status="incomplete_expired"), VOIDED),
    row("incomplete", "canceled", "cancel", "deleted before it was paid", end()),
    row("incomplete", "incomplete_expired", "expire", "deleted, and ended as expired",
        end(status="incomplete_expired")),
    row("incomplete", "trialing", "start_trial", "what was due up front is paid",
        update(status="trialing", trial_end=later(14 * DAY)), PAID),
    row("trialing", "active", "activate", "the trial ends and is paid",
        update(status="active", latest_invoice=new_bill, lines=renewed), FINALIZED, PAID),
    row("trialing", "active", "activate", "trial_end=now", update(status="active", trial_end=at_once), PAID),
    row("trialing", "active", "activate", "the trial ends, bills are sent",
        update(status="active", latest_invoice=new_bill), FINALIZED, collection_method="send_invoice"),
    row("trialing", "past_due", "fail_payment", "the first charge fails",
        update(status="past_due", latest_invoice=new_bill), FAILED),
    row("trialing", "past_due", "fail_payment", "active while the draft waits, then it fails",
        update(status="active", latest_invoice=new_bill), update(status="past_due"), FAILED),
    row("trialing", "paused", "pause", "no payment method at its end", say("paused", status="paused"), ENTITLEMENTS),
    row("trialing", "paused", "pause", "no payment method, told as an update", update(status="paused")),
    row("trialing", "canceled", "cancel", "no payment method, cancel", end()),
    row("trialing", "trialing", "update", "three days before its end", say("trial_will_end"),
        update(trial_end=later(3 * DAY))),
    row("active", "active", "update", "a renewal", NEXT_BILL, FINALIZED, PAID),
    row("active", "past_due", "fail_payment", "a renewal fails", NEXT_BILL, update(status="past_due"), FAILED),
    row("active", "past_due", "fail_payment", "the same, the bill's event first", NEXT_BILL, FAILED,
        update(status="past_due")),
    row("active", "past_due", "fail_payment", "a renewal needs the customer", NEXT_BILL,
        update(status="past_due"), ACTION),
    row("active", "past_due", "fail_payment", "the due date passes", NEXT_BILL, update(status="past_due"), OVERDUE,
        collection_method="send_invoice"),
    row("active", "trialing", "start_trial", "a trial is given", update(status="trialing", trial_end=later(DAY))),
    row("active", "paused", "pause", "/pause", say("paused", status="paused"), ENTITLEMENTS),
    row("active", "paused", "pause", "the first renewal failure pauses", update(status="paused"), say("paused")),
    row("past_due", "paused", "pause", "/pause", update(status="paused"), say("paused"), ENTITLEMENTS),
    row("past_due", "paused", "pause", "all retries failed", FAILED, say("paused", status="paused")),
    row("unpaid", "paused", "pause", "/pause", update(status="paused"), say("paused"), ENTITLEMENTS),
    row("active", "canceled", "cancel", "deleted", end()),
    row("active", "canceled", "cancel", "its period's end, cancelled before", update(cancel_at_period_end=True), end()),
    row("active", "canceled", "cancel", "its date comes", update(cancel_at=later(DAY)), end()),
    row("active", "canceled", "cancel", "its customer is deleted", end(), CUSTOMER_GONE),
    row("past_due", "active", "recover", "the latest invoice is paid", update(status="active"), PAID),
    row("past_due", "active", "recover", "the same, the bill's event first", FAILED, PAID, update(status="active")),
    row("past_due", "active", "recover", "marked uncollectible", update(status="active"), UNCOLLECTIBLE),
    row("past_due", "unpaid", "mark_unpaid", "all retries failed", FAILED, update(status="unpaid")),
    row("past_due", "canceled", "cancel", "all retries failed", FAILED, end()),
    row("past_due", "past_due", "update", "a retry fails", FAILED, NEXT_BILL),
    row("unpaid", "active", "recover", "the most recent invoice is paid", update(status="active"), PAID),
    row("unpaid", "unpaid", "update", "a cycle, its invoice stays a draft", NEXT_BILL),
    row("unpaid", "canceled", "cancel", "deleted", end()),
    row("active", "unpaid", "mark_unpaid", "retries off", NEXT_BILL, update(status="unpaid"), FAILED),
    row("paused", "active", "resume", "resumed", update(status="active"), say("resumed"), ENTITLEMENTS),
    row("paused", "active", "resume", "the resumption is paid", say("pending_update_applied"), PAID,
        update(status="active", latest_invoice=new_bill), PAID),
    row("paused", "past_due", "fail_payment", "resumed on a payment that failed",
        update(status="past_due", latest_invoice=new_bill), FAILED),
    row("paused", "paused", "update", "its resumption expires", update(latest_invoice=new_bill), VOIDED,
        say("pending_update_expired")),
    row("paused", "canceled", "cancel", "deleted", end()),
    row("active", "active", "update", "a plan and its quantity change",
        update(lines=(Line(price="price_starter", quantity=3),))),
    row("active", "active", "update", "a cancellation is taken back", update(cancel_at_period_end=True),
        update(cancel_at_period_end=False)),
    row("active", "active", "update", "collection is paused and goes on",
        update(pause_collection={"behavior": "void", "resumes_at": None}), update(pause_collection=None)),
]  # fmt: skip


def test_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """As many rows as Stripe's lifecycle has, and more where a row has several ways; the number is printed."""
    with capsys.disabled():
        pairs = {(row.source, row.destination) for row in ROWS}
        print(f"\n{len(ROWS)} lifecycle rows, {len(pairs)} pairs of states")
    assert len(ROWS) >= 50
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_of_the_lifecycle_is_told_and_read_back(play: Play, row: Row) -> None:
    """Its events through `POST /webhooks/stripe`, and the state through `GET /subscription`."""
    begun = dict(row.begun)
    first = row.destination if row.source == "none" else row.source
    if first == "trialing":
        begun.setdefault("trial_end", 14 * DAY)
    played = play(first, **begun)
    if first == "trialing":
        played.life.sub = replace(played.life.sub, trial_end=played.at + 15 * DAY)
    assert played.deliver(played.life.create()) == ["applied"]
    for step in row.steps:
        played.at += 60
        (outcome,) = played.deliver(step.tell(played))
        assert outcome in {"applied", "unchanged", "pending", "stale"}
    state = played.settled()
    sub = played.life.sub
    assert (state["state"], state["subscription_id"]) == (row.destination, sub.id)
    assert state["access"]["reason"] == REASONS[row.destination]
    assert state["access"]["granted"] is (row.destination in {"trialing", "active", "past_due"})
    assert state["plan"]["price_id"] == sub.lines[0].price
    assert state["plan"]["quantity"] == sub.lines[0].quantity
    changes = [
        (entry["trigger"], entry["from"], entry["to"]) for entry in played.history() if entry["outcome"] == "applied"
    ]
    arrived = [change for change in changes if change[2] == row.destination]
    assert row.trigger in {trigger for trigger, _, _ in arrived}
    assert changes[0][1] == "none"
    assert [before[2] for before in changes[:-1]] == [after[1] for after in changes[1:]], "a chain without a gap"


def test_what_ended_stays_ended(play: Play) -> None:
    """After the last event of a life every earlier one comes once more under another id: nothing moves."""
    played = play("incomplete")
    life = played.life
    life.create()
    for at, changes in enumerate(({"status": "active"}, {"status": "past_due"}, {"status": "active"}), 1):
        life.update(played.at + at, **changes)
    life.end(played.at + 9)
    played.deliver(*life.told)
    before = played.settled()
    again = [told | {"id": fresh("evt")} for told in life.told]
    outcomes = played.deliver(*again)
    assert outcomes == ["refused"] * 4 + ["unchanged"]
    assert again[-1]["type"] == DELETED
    assert played.settled() == before
