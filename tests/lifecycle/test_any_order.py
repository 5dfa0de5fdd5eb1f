"""The mission's five webhooks in any order, twice, in three API versions, end where Stripe is."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from interlock.engine.core.view import rfc3339
from tests.kit.bodies import MONTH, NEWEST, OLDEST, Life, Line, Obj, Sub, fresh
from tests.lifecycle.process import Process, Sender
from tests.lifecycle.stripe_truth import TruthfulStripe

VERSIONS = (OLDEST, "2024-04-10", NEWEST)
SENDERS = 16
SETTLED_WITHIN = 20.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, TruthfulStripe]]:
    """A service of its own, in a process of its own, beside a truthful Stripe."""
    stripe = TruthfulStripe()
    process = Process(tmp_path_factory.mktemp("any-order"), stripe.url)
    process.start()
    yield process, stripe
    process.stop()
    stripe.close()


def born(version: str, begun: int) -> Life:
    sub = Sub(
        id=fresh("sub"), customer=fresh("cus"), status="incomplete", created=begun, user=fresh("u"),
        lines=(Line(ends=begun + MONTH),), latest_invoice=fresh("in"),
    )  # fmt: skip
    return Life(sub, version)


def ended(version: str, begun: int, gap: int) -> Life:
    """Created, its payment fails, it is paid after all, and canceled: every one of the five types once."""
    life = born(version, begun)
    life.create()
    life.bill("payment_failed", begun + gap, status="open", attempts=1, created=begun)
    life.update(begun + 2 * gap, status="active")
    life.bill("paid", begun + 2 * gap, status="paid", attempts=2, created=begun)
    life.end(begun + 3 * gap)
    return life


def recovered(version: str, begun: int, gap: int) -> Life:
    """The same subscription, never canceled, and one update more: the end has to be found among the living."""
    life = born(version, begun)
    life.create()
    life.bill("payment_failed", begun + gap, status="open", attempts=1, created=begun)
    life.update(begun + 2 * gap, status="active")
    life.bill("paid", begun + 2 * gap, status="paid", attempts=2, created=begun)
    life.update(begun + 3 * gap, cancel_at=begun + MONTH)
    return life


def play(port: int, life: Life, order: Sequence[int]) -> Counter[str]:
    """Deliver a life's events in an order, and all of them again."""
    sender = Sender(port)
    outcomes: Counter[str] = Counter()
    for again in (False, True):
        for number in order:
            status, answer = sender.deliver(life.told[number])
            assert status == 200, answer
            assert (answer["outcome"] == "duplicate") is again
            outcomes[answer["outcome"]] += 1
    sender.close()
    return outcomes


def settled(sender: Sender, user: str, until: float) -> tuple[Obj, list[Obj]]:
    """Wait until nothing is pending; returns the state and the history."""
    while True:
        history: list[Obj] = sender.read("/subscription/history?limit=100", user)["items"]
        last = {entry["event_id"]: entry["outcome"] for entry in reversed(history)}
        if "pending" not in last.values():
            return sender.read("/subscription", user), history
        assert time.monotonic() < until, history
        time.sleep(0.1)


def test_any_order_twice_in_three_versions_ends_right(
    running: tuple[Process, TruthfulStripe], capsys: pytest.CaptureFixture[str]
) -> None:
    """All 120 permutations in each version, a minute or no second apart: the state is Stripe's, field by field.

    The same for a life that is not ended, where no event can settle the order by being the last word.
    """
    process, stripe = running
    begun = int(time.time()) - 7_200
    orders = list(enumerate(itertools.permutations(range(5))))
    lives = [(ended(version, begun, 60 * (n % 2)), order) for version in VERSIONS for n, order in orders]
    lives += [(recovered(VERSIONS[n % 3], begun, 60 * (n % 2)), order) for n, order in orders]
    for life, _ in lives:
        stripe.is_now(life.sub)
    started = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        outcomes = sum(pool.map(play, itertools.repeat(process.port), *zip(*lives, strict=True)), Counter[str]())
    until = time.monotonic() + SETTLED_WITHIN
    sender = Sender(process.port)
    for life, order in lives:
        state, history = settled(sender, life.sub.user or "", until)
        sub = life.sub
        shown = (state["state"], state["subscription_id"], state["cancel_at"], state["current_period_end"])
        assert shown == (sub.status, sub.id, rfc3339(sub.cancel_at), rfc3339(begun + MONTH)), (order, history)
        assert state["access"]["granted"] is (sub.status == "active")
        applied = Counter(entry["event_id"] for entry in history if entry["outcome"] == "applied" and entry["event_id"])
        assert max(applied.values()) == 1, "never two `applied` for one event"
        entries = Counter(entry["event_id"] for entry in history if entry["event_id"])
        assert max(entries.values()) <= 2
    sender.close()
    with capsys.disabled():
        print(
            f"\n{len(lives)} lives, {outcomes.total()} webhooks in {time.monotonic() - started:.1f} s: {dict(outcomes)}"
        )


def test_kill_9_loses_nothing_that_was_answered(
    running: tuple[Process, TruthfulStripe], capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed amid 1,000 webhooks, twice: every event answered 200 is there after the restart, and none counts twice."""
    process, stripe = running
    begun = int(time.time()) - 7_200
    lives = [story(NEWEST, begun, 60) for story in (ended, recovered) for _ in range(100)]
    for life in lives:
        stripe.is_now(life.sub)
    told = [life.told[number] for number in range(5) for life in lives]
    assert len(told) == 1_000
    answered: set[str] = set()
    lost = 0
    for after in (200, 600):
        answered_now, refused = flood(process, [event for event in told if event["id"] not in answered], after)
        answered |= answered_now
        lost += refused
        process.start()
    assert lost > 0, "the kill came in the middle"
    assert 200 <= len(answered) < 1_000
    with ThreadPoolExecutor(SENDERS) as pool:
        for event, outcome in zip(told, pool.map(resend, itertools.repeat(process.port), told), strict=True):
            assert outcome == "duplicate" or event["id"] not in answered, event["id"]
    sender = Sender(process.port)
    until = time.monotonic() + SETTLED_WITHIN
    for life in lives:
        state, history = settled(sender, life.sub.user or "", until)
        assert (state["state"], state["cancel_at"]) == (life.sub.status, rfc3339(life.sub.cancel_at)), history
        applied = Counter(entry["event_id"] for entry in history if entry["outcome"] == "applied" and entry["event_id"])
        assert max(applied.values()) == 1
    sender.close()
    with capsys.disabled():
        print(f"\nkilled twice amid 1,000 webhooks: {len(answered)} answered, {lost} cut off, none lost")


def resend(port: int, event: Obj) -> str:
    sender = Sender(port)
    status, answer = sender.deliver(event)
    sender.close()
    assert status == 200
    return answer["outcome"]


def flood(process: Process, events: list[Obj], kill_after: int) -> tuple[set[str], int]:
    """Send events over several connections; kill the service after so many answers.  Returns ids answered, cut off."""
    answered: set[str] = set()
    cut = Counter[str]()
    dead = threading.Event()
    mine = itertools.count()

    def send() -> None:
        sender = Sender(process.port)
        while not dead.is_set() and (number := next(mine)) < len(events):
            try:
                status, _ = sender.deliver(events[number])
            except OSError:
                cut["off"] += 1
                break
            if status == 200:
                answered.add(events[number]["id"])
        sender.close()

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(answered) < kill_after and time.monotonic() < until:
        time.sleep(0.001)
    process.kill()
    dead.set()
    for thread in threads:
        thread.join(30)
    return answered, cut["off"]
