"""The fifteen pains that users of the peers suffer, each a promise of Interlock's, kept over HTTP."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.kit.bodies import DAY, MONTH, VERSIONS, Life, Line, Obj, Sub, event, fresh, session
from tests.kit.process import Served
from tests.kit.service import Service, StartService
from tests.kit.settings import environment, free_port
from tests.kit.stripe import StandIn
from tests.lifecycle.conftest import Play, Played


def when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_pain_01_created_after_updated_does_not_stick_at_incomplete(play: Play) -> None:
    """`created` (incomplete) arrives after `updated` (active): the state is active, now and later."""
    played = play("incomplete")
    created, updated = played.life.create(), played.life.update(played.at + 5, status="active")
    assert played.deliver(updated, created) == ["applied", "pending"]
    assert played.state()["state"] == "active", "the state never goes back meanwhile"
    assert played.settled()["state"] == "active"


@pytest.mark.parametrize("first", [0, 1])
def test_pain_02_of_same_second_events_the_right_one_wins(play: Play, first: int) -> None:
    """Two changes within one second, in either order: where Stripe is, not who came first or last."""
    played = play()
    played.deliver(played.life.create())
    ties = [played.life.update(played.at + 5, status="past_due"), played.life.update(played.at + 5, status="unpaid")]
    played.deliver(ties[first], ties[1 - first])
    assert played.settled()["state"] == "unpaid"


def test_pain_03_a_late_active_never_restores_a_canceled_plan(play: Play) -> None:
    """Absorbing per subscription id, and recorded as refused by `not_ended`."""
    played = play("past_due")
    created, late = played.life.create(), played.life.update(played.at + 5, status="active")
    played.deliver(created, played.life.end(played.at + 9))
    assert played.deliver(late) == ["refused"]
    assert played.settled()["access"] == {"granted": False, "reason": "canceled", "until": None}
    assert played.history()[-1]["guard"] == "not_ended"


def test_pain_04_an_event_answered_200_is_never_gone(tmp_path: Path) -> None:
    """Stripe away, then the process killed, then Stripe back: what was answered 200 is decided all the same."""
    stripe = StandIn()
    service = Served(environment(tmp_path, STRIPE_API_BASE=stripe.url), tmp_path / "log").start()
    user = fresh("u")
    life = Life(Sub(id=fresh("sub"), customer=fresh("cus"), user=user))
    stripe.is_now(life.sub)
    stripe.away()
    answer = service.deliver(life.bill("paid", int(time.time()), status="paid"))
    assert (answer.status_code, answer.json()["outcome"]) == (200, "pending")
    service.kill()
    service.start()
    stripe.back()
    until = time.monotonic() + 20
    while service.state(user)["state"] != "active":
        assert time.monotonic() < until
        time.sleep(0.05)
    service.close()
    stripe.close()


def test_pain_05_an_event_is_marked_in_the_transaction_of_its_effect(
    start_service: StartService, tmp_path: Path, new_user: Callable[[], str]
) -> None:
    """The database can't be written: 503 with Retry-After, and Stripe's retry is no duplicate but applied."""
    service = start_service()
    user = new_user()
    told = event("customer.subscription.created", Sub(id=fresh("sub"), customer=fresh("cus"), user=user).json())
    with sqlite3.connect(tmp_path / "interlock.db", isolation_level=None) as locked:
        locked.execute("BEGIN IMMEDIATE")
        answer = service.deliver(told)
        assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)
        locked.execute("ROLLBACK")
    locked.close()
    assert service.deliver(told).json()["outcome"] == "applied"
    assert service.deliver(told).json()["outcome"] == "duplicate"
    assert service.get("/subscription", user).json()["access"]["granted"]


def test_pain_06_parallel_events_make_no_duplicates_and_no_old_state(play: Play) -> None:
    """Sixteen at once about one subscription, each twice: no event is applied twice, and the state is Stripe's."""
    played = play("incomplete")
    life = played.life
    life.create()
    for step in range(1, 8):
        life.update(played.at + step, status=("active", "past_due")[step % 2])
        life.bill("paid" if step % 2 == 0 else "payment_failed", played.at + step, status="open")
    life.update(played.at + 60, cancel_at=played.at + MONTH)
    played.stripe.is_now(life.sub)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(played.service.deliver, life.told * 2))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["outcome"] == "duplicate" for answer in answers) == len(life.told)
    state = played.settled()
    assert (state["state"], state["cancel_at"]) == (life.sub.status, when(played.at + MONTH))
    applied = [entry["event_id"] for entry in played.history() if entry["outcome"] == "applied"]
    assert len(applied) == len(set(applied))


@pytest.mark.parametrize("version", VERSIONS)
def test_pain_07_basil_breaks_neither_the_period_nor_the_invoices_link(play: Play, version: str) -> None:
    """The endpoint's version decides the shape: the period's end and the invoice's subscription are found in each."""
    played = play(version=version)
    played.deliver(played.life.create(), played.life.update(played.at + 5, status="past_due"))
    assert played.deliver(played.life.bill("payment_failed", played.at + 5, status="open", attempts=1)) == ["unchanged"]
    state = played.state()
    assert state["current_period_end"] == when(played.at + MONTH)
    assert state["access"]["until"] == when(played.at + 5 + 7 * DAY)


@pytest.mark.parametrize("way", ["cancel_at", "cancel_at_period_end"])
def test_pain_08_a_cancellation_in_the_portal_is_seen(play: Play, way: str) -> None:
    """Flexible billing sets the date, classic billing the boolean: both show the date, and `ending`."""
    played = play()
    played.deliver(played.life.create())
    played.deliver(played.life.update(played.at + 5, **{way: played.at + MONTH if way == "cancel_at" else True}))
    state = played.settled()
    end = when(played.at + MONTH)
    assert (state["cancel_at"], state["access"]) == (end, {"granted": True, "reason": "ending", "until": end})
    assert "resume" in state["available_actions"]


def test_pain_09_past_due_keeps_its_grace_and_always_the_portal(play: Play) -> None:
    """Access goes on for the days of grace; after them, and when unpaid, the portal still lets them fix the card."""
    played = play()
    played.deliver(played.life.create(), played.life.update(played.at + 5, status="past_due"))
    state = played.state()
    assert (state["access"]["granted"], state["access"]["reason"]) == (True, "grace_period")
    assert "portal" in state["available_actions"]
    assert "checkout" not in state["available_actions"], "nobody re-subscribes because of a card"
    played.deliver(played.life.update(played.at + 9, status="unpaid"))
    state = played.state()
    assert (state["access"]["granted"], "portal" in state["available_actions"]) == (False, True)
    late = play("past_due", created=played.at - 9 * DAY)
    late.at -= 9 * DAY
    late.deliver(event("customer.subscription.updated", late.life.sub.json(), created=late.at))
    state = late.state()
    assert (state["access"], "portal" in state["available_actions"]) == (
        {"granted": False, "reason": "payment_failed", "until": None}, True,
    )  # fmt: skip


def test_pain_10_paused_collection_is_no_free_service(play: Play) -> None:
    """Stripe's status stays `active`; access says `collection_paused`, and comes back with the collection."""
    played = play()
    played.deliver(played.life.create())
    played.deliver(played.life.update(played.at + 5, pause_collection={"behavior": "void", "resumes_at": None}))
    state = played.state()
    assert (state["state"], state["collection_paused"]) == ("active", True)
    assert state["access"] == {"granted": False, "reason": "collection_paused", "until": None}
    played.deliver(played.life.update(played.at + 6, pause_collection=None))
    assert played.state()["access"]["granted"]


@pytest.fixture
def sandboxed(tmp_path: Path) -> Iterator[tuple[Service, StandIn]]:
    """A service and the stand-in Stripe, which delivers its webhooks by itself."""
    port = free_port()
    stripe = StandIn(f"http://127.0.0.1:{port}/webhooks/stripe")
    service = Service(environment(tmp_path, STRIPE_API_BASE=stripe.url), port=port)
    service.start()
    yield service, stripe
    service.stop()
    stripe.close()


def until_state(service: Service, user: str, state: str, within: float = 5.0) -> Obj:
    end = time.monotonic() + within
    while True:
        shown = service.get("/subscription", user).json()
        if shown["state"] == state:
            return shown
        assert time.monotonic() < end, shown
        time.sleep(0.02)


def test_pain_11_two_tabs_are_one_subscription_and_one_customer(sandboxed: tuple[Service, StandIn]) -> None:
    """Fifty checkouts at once are one session of one customer; once it is paid, the next is refused."""
    service, stripe = sandboxed
    with ThreadPoolExecutor(10) as pool:
        clicks = [pool.submit(service.request, "POST", "/checkout", "u_1", json={"plan": "pro"}) for _ in range(50)]
        answers = [click.result() for click in clicks]
    assert {answer.status_code for answer in answers} == {201}
    (id_,) = {answer.json()["id"] for answer in answers}
    assert len(stripe.everything("checkout/sessions")) == len(stripe.everything("customers")) == 1
    stripe.panel(f"checkout/{id_}/pay", {"card": "4242424242424242", "email": "who@example.com"})
    until_state(service, "u_1", "trialing")
    again = service.request("POST", "/checkout", "u_1", json={"plan": "pro"})
    assert (again.status_code, "portal" in again.json()["detail"]) == (409, True)


def test_pain_12_cancelling_the_duplicate_takes_nothing_from_the_survivor(play: Play) -> None:
    """Access is the best over all of a user's subscriptions."""
    survivor = play()
    twin = play(user=survivor.user, customer=survivor.life.sub.customer, created=survivor.at + 60)
    survivor.deliver(survivor.life.create())
    twin.deliver(twin.life.create(), twin.life.end(twin.at + 90))
    state = survivor.state()
    assert (state["subscription_id"], state["access"]["granted"]) == (survivor.life.sub.id, True)


def test_pain_13_a_trial_is_given_once(sandboxed: tuple[Service, StandIn]) -> None:
    """The second checkout of the same plan sends no trial."""
    service, stripe = sandboxed
    for state in ("trialing", "active"):
        made = service.request("POST", "/checkout", "u_1", json={"plan": "pro"})
        assert made.status_code == 201, made.text
        stripe.panel(f"checkout/{made.json()['id']}/pay", {"card": "4242424242424242", "email": "who@example.com"})
        shown = until_state(service, "u_1", state)
        stripe.cancel(shown["subscription_id"])
        until_state(service, "u_1", "canceled")


def test_pain_14_an_outage_and_a_redirect_that_is_faster_heal(start_service: StartService) -> None:
    """Every webhook lost: the sweep finds the subscription.  The checkout's event first: Stripe is asked."""
    stripe = StandIn()
    service = start_service(STRIPE_API_BASE=stripe.url, RECONCILE_EVERY="0.2")
    play = Play(service, stripe)
    lost = play()
    stripe.is_now(lost.life.sub)
    until_state(service, lost.user, "active")
    lost.life.end(lost.at + 9)
    stripe.is_now(lost.life.sub)
    until_state(service, lost.user, "canceled")
    early = play()
    done = session(subscription=early.life.sub.id, customer=early.life.sub.customer, user=early.user, id=fresh("cs"))
    assert early.deliver(event("checkout.session.completed", done)) == ["pending"]
    assert until_state(service, early.user, "active", within=3.0)["access"]["granted"]
    stripe.close()


def test_pain_15_the_history_answers_when_and_why(play: Play) -> None:
    """What plan, when, why did access end: each change with its event, source, trigger, from and to; refusals too."""
    played = play()
    life = played.life
    told = [life.create(), life.update(played.at + 5, status="past_due"), life.end(played.at + 9)]
    played.deliver(*told)
    entries = played.history()
    assert [(e["event_id"], e["source"], e["trigger"], e["from"], e["to"]) for e in entries] == [
        (told[0]["id"], "webhook", "activate", "none", "active"),
        (told[1]["id"], "webhook", "fail_payment", "active", "past_due"),
        (told[2]["id"], "webhook", "cancel", "past_due", "canceled"),
    ]
    assert played.deliver(told[1] | {"id": fresh("evt")}) == ["refused"]
    newest = played.service.get("/subscription/history?limit=1", played.user).json()
    assert newest["items"][0]["outcome"] == "refused"
    older = played.service.get(f"/subscription/history?after={newest['next']}", played.user).json()
    assert [entry["seq"] for entry in older["items"]] == [entry["seq"] for entry in reversed(entries)]
    assert older["next"] is None


@pytest.mark.usefixtures("misfits_meant")
def test_also_seen_a_new_status_grants_nothing(play: Play) -> None:
    """An unknown status passes for none of the eight, and its raw value is not lost: fail closed."""
    played: Played = play()
    played.deliver(played.life.create())
    played.deliver(played.life.update(played.at + 5, status="frozen_by_stripe"))
    state = played.settled()
    assert (state["state"], state["access"]["granted"], state["access"]["reason"]) == ("active", False, "none")
    assert played.history()[-1]["guard"] == "status_known"
    played.deliver(played.life.update(played.at + 6, status="active", lines=(Line(quantity=2),)))
    state = played.settled()
    assert (state["access"]["granted"], state["plan"]["quantity"]) == (True, 2)


def test_also_seen_metadata_of_the_customer_links_what_checkout_forgot(play: Play) -> None:
    """Checkout's own metadata does not reach the subscription; the customer's does, when Stripe is asked."""
    played = play()
    played.life.sub = replace(played.life.sub, user=None)
    played.stripe.is_now(played.life.sub, user_of_customer=played.user)
    assert played.deliver(played.life.create()) == ["unlinked"]
    until_state(played.service, played.user, "active", within=3.0)
