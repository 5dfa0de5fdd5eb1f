"""Row 7.  SIGKILL at random moments and at every named step: nothing acknowledged is lost, nothing applied twice."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from tests.faults.processes import Life, Nursery, settings_in
from tests.faults.traffic import Market, Postman
from tests.kit.process import Served, client_of, command
from tests.kit.scale import Figure, first_seed, size
from tests.kit.stripe import StandIn

STEPS: Final = (
    # a webhook: each statement of its transaction, and both sides of its two ends
    "before BEGIN", "after BEGIN", "before event_seen", "before subscription_get", "before subscription_start",
    "before customer_get", "before customer_put", "before bill_put", "before subscription_put", "before users_ensure",
    "before users_draw", "before users_show", "before queue_put", "before event_insert", "before decision_insert",
    "after decision_insert", "before COMMIT of event_insert", "after COMMIT of event_insert",
    # the truth: the lease, the reading, the answer's transaction
    "before COMMIT of queue_claim", "after COMMIT of queue_claim", "before the reading", "after the reading",
    "before event_pending_of", "before queue_done", "before COMMIT of queue_done", "after COMMIT of queue_done",
    # a checkout: on both sides of what is made at Stripe, and of what is kept of it
    "before POST customers", "after POST customers", "after COMMIT of users_set_customer",
    "before POST checkout/sessions", "after POST checkout/sessions", "before COMMIT of checkout_put",
    "after COMMIT of checkout_put",
)  # fmt: skip


class Story:
    """One database through many lives.  After each death it is looked at as it lay there, and after each birth."""

    def __init__(self, stand_in: StandIn, seed: int) -> None:
        self.rng = random.Random(seed)
        self.market = Market(stand_in, self.rng, f"k{seed}")
        self.postman = Postman(self.rng)
        self.buyers: dict[str, str] = {}
        """The checkout of each user who was told one."""
        self.wants = ""
        self.slowest = 0.0
        self.deaths = 0
        self._checked: set[str] = set()

    def load(self, service: Served, *, until_dead: bool) -> None:
        """Change things at Stripe and tell of them badly, while somebody buys; `until_dead` it goes on and on."""
        end = time.monotonic() + 20
        while True:
            self.market.grow()
            for _ in range(6):
                self.market.change()
            events = self.postman.shuffle(self.market.stand_in.news())
            self.wants = f"buyer_{len(self.buyers)}_{self.deaths}"
            buying = threading.Thread(target=self._buy, args=(service, self.wants))
            buying.start()
            self.postman.deliver(service, events)
            buying.join()
            if not until_dead or not service.alive():
                return
            assert time.monotonic() < end, "the step was never reached"

    def _buy(self, service: Served, user: str) -> None:
        try:
            with client_of(service.url) as client:
                answer = service.checkout(user, client=client)
        except httpx.TransportError:
            return
        assert answer.status_code == 201, answer.text
        self.buyers[user] = answer.json()["id"]

    def look_at_the_dead(self, folder: Path) -> None:
        """On a copy, so that the service itself repairs the original: whole, and all that was acknowledged is in it."""
        self.deaths += 1
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in folder.glob("interlock.db*"):
            shutil.copy(file, copy)
        database = sqlite3.connect(copy / "interlock.db")
        try:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
            kept = dict(database.execute("SELECT event_id, outcome FROM event").fetchall())
            lost = [event_id for event_id in self.postman.acknowledged if event_id not in kept]
            assert lost == [], f"{len(lost)} acknowledged and lost, first {lost[0]}"
            applied = Counter(
                row[0] for row in database.execute("SELECT event_id FROM decision WHERE outcome = 'applied'")
            )
            del applied[None]
            assert [event_id for event_id, times in applied.items() if times > 1] == []
            missing = [
                event_id
                for event_id, outcome in self.postman.acknowledged.items()
                if outcome == "applied" and kept[event_id] == "applied" and not applied[event_id]
                and self.postman.told[event_id]["type"].startswith("customer.subscription")
            ]  # fmt: skip
            assert missing == [], "an effect without its entry"
        finally:
            database.close()

    def look_at_the_living(self, service: Served, *, all_again: bool = False) -> None:
        """After a restart: what was acknowledged is known, what was not is taken, and everything is as at Stripe."""
        known = [e for i, e in self.postman.told.items() if i in self.postman.acknowledged]
        again = [event for event in known if all_again or event["id"] not in self._checked]
        for event in again:
            answer = service.deliver(event)
            assert (answer.status_code, answer.json()["outcome"]) == (200, "duplicate"), answer.text
        self._checked |= {event["id"] for event in again}
        self.postman.resend(service)
        self.slowest = max(self.slowest, service.await_settled(20))
        drift = self.market.drift(service)
        assert drift == [], drift
        if self.wants:
            answer = service.checkout(self.wants)
            calls = self.market.stand_in.calls(self.wants, "POST")
            assert answer.status_code == 201, f"{answer.text}: {calls}"
            session = self.buyers.setdefault(self.wants, answer.json()["id"])
            assert answer.json()["id"] == session, "a second session for one intent"

    def look_at_stripe(self) -> None:
        """One customer and one session for everybody who bought, however often the service died over it."""
        customers = Counter(c["metadata"].get("user_id") for c in self.market.stand_in.everything("customers"))
        sessions = Counter(
            s["client_reference_id"]
            for s in self.market.stand_in.everything("checkout/sessions")
            if s["status"] == "open"
        )
        assert {user: customers[user] for user in self.buyers} == dict.fromkeys(self.buyers, 1)
        assert {user: sessions[user] for user in self.buyers} == dict.fromkeys(self.buyers, 1)


def finish(story: Story, service: Served, settings: dict[str, str]) -> None:
    """The last look: everything again, and the product's own comparison finds nothing."""
    story.look_at_the_living(service, all_again=True)
    story.look_at_stripe()
    compared = command(settings, "reconcile", "--all", "--dry-run")
    assert (compared.returncode, compared.stdout.strip()) == (0, "Nothing differs."), compared.stdout + compared.stderr


def told(story: Story, kills: str) -> str:
    return (
        f"{kills}: {len(story.postman.acknowledged):,} events acknowledged ({story.postman.sent:,} deliveries), "
        f"0 lost, 0 applied twice, {len(story.buyers)} checkouts of one session each, database whole, "
        f"pending settled ≤ {story.slowest:.1f} s after a restart"
    )


def test_killed_at_every_step(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """Whichever step a service dies at, what it had acknowledged is there, once, and the rest is taken again."""
    seed, kills = first_seed(), size("STEP_KILLS", len(STEPS), 30 * len(STEPS))
    print(f"seed {seed}")
    story = Story(stand_in, seed)
    settings = settings_in(tmp_path / "service", stand_in.url)
    service = Life(nursery, settings, tmp_path / "service.log")
    try:
        for number in range(kills):
            service.start()
            story.look_at_the_living(service)
            step = STEPS[number % len(STEPS)]
            nth = 1 if number < len(STEPS) and "POST" in step else story.rng.randint(1, 2)
            print(f"kill {number}: {step}, time {nth}")
            service.order(die=step, nth=nth)
            story.load(service, until_dead=True)
            assert service.await_end() == -9
            story.look_at_the_dead(tmp_path / "service")
        service.start()
        finish(story, service, settings)
    finally:
        service.close()
    figure(7, told(story, f"kill -9 at {kills} steps of {len(STEPS)} named"))


def test_killed_at_random(tmp_path: Path, stand_in: StandIn, figure: Figure) -> None:
    """`interlock serve` itself, killed under load at a moment that nobody chose."""
    seed, kills = first_seed(), size("RANDOM_KILLS", 4, 200)
    print(f"seed {seed}")
    story = Story(stand_in, 1_000_000 + seed)
    settings = settings_in(tmp_path / "service", stand_in.url)
    service = Served(settings, tmp_path / "service.log")
    try:
        for number in range(kills):
            service.start()
            story.look_at_the_living(service)
            delay = story.rng.uniform(0, 0.5)
            print(f"kill {number} after {delay:.3f} s of load")
            killer = threading.Timer(delay, _kill(service))
            killer.start()
            story.load(service, until_dead=True)
            killer.join()
            assert service.await_end() == -9
            story.look_at_the_dead(tmp_path / "service")
        service.start()
        finish(story, service, settings)
    finally:
        service.close()
    figure(7, told(story, f"kill -9 at {kills} random moments of `interlock serve`"))


def _kill(service: Served) -> Callable[[], None]:
    return service.kill
