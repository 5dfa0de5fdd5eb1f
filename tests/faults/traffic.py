"""What happens at Stripe, drawn from a seed, and a postman who brings word of it badly: late, twice, in any order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import httpx

from tests.kit.process import Served, client_of
from tests.kit.stripe import StandIn

Obj = dict[str, Any]
CARDS: Final = ("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_chargeCustomerFail")
PRICES: Final = ("price_pro", "price_starter")


class Market:
    """Users who subscribe, change and leave, at the stand-in."""

    def __init__(self, stand_in: StandIn, rng: random.Random, name: str = "u") -> None:
        self.stand_in = stand_in
        self.rng = rng
        self.owner: dict[str, str] = {}
        """The user of each subscription."""
        self._name = name
        self._ended: set[str] = set()
        self._moved: set[str] = set()
        stand_in.news()

    def grow(self) -> str:
        """One more user, with a subscription."""
        user = f"{self._name}_{len(self.owner)}"
        sub = self.stand_in.subscribe(user, card=self.rng.choice(CARDS), price=self.rng.choice(PRICES))
        self.owner[sub["id"]] = user
        self._moved.add(sub["id"])
        return user

    def change(self) -> None:
        """Something happens to a subscription."""
        living = sorted(self.owner.keys() - self._ended)
        if not living:
            self.grow()
            return
        sub_id = self.rng.choice(living)
        self._moved.add(sub_id)
        what = self.rng.choice(("quantity", "quantity", "later", "pause", "end"))
        if what == "end" and len(living) > 3:
            self._ended.add(sub_id)
            self.stand_in.cancel(sub_id)
            return
        sub = self.stand_in.get(f"subscriptions/{sub_id}")
        if sub["status"] == "incomplete":
            self._ended.add(sub_id)
        elif what == "later":
            self.stand_in.post(
                f"subscriptions/{sub_id}", cancel_at_period_end=str(not sub["cancel_at_period_end"]).lower()
            )
        elif what == "pause" and sub["pause_collection"] is None:
            self.stand_in.post(f"subscriptions/{sub_id}", pause_collection__behavior="void")
        elif what == "pause":
            self.stand_in.post(f"subscriptions/{sub_id}", pause_collection="")
        else:
            item = sub["items"]["data"][0]
            changed = {"items__0__id": item["id"], "items__0__quantity": item["quantity"] + 1}
            self.stand_in.post(f"subscriptions/{sub_id}", proration_behavior="none", **changed)

    def drift(self, service: Served) -> list[str]:
        """What a user is shown against what is so at Stripe, for everyone who changed since the last look."""
        found: list[str] = []
        for sub_id in sorted(self._moved):
            user = self.owner[sub_id]
            so = self.stand_in.get(f"subscriptions/{sub_id}")
            shown = service.state(user)
            item = so["items"]["data"][0]
            end = item["current_period_end"] if so["cancel_at_period_end"] else so["cancel_at"]
            expected = (so["status"], so["id"], item["quantity"], end is not None, so["pause_collection"] is not None)
            plan: Obj = shown["plan"] or {}
            seen = (
                shown["state"],
                shown["subscription_id"],
                plan.get("quantity"),
                shown["cancel_at"] is not None,
                shown["collection_paused"],
            )
            if expected != seen:
                found.append(f"{user}: Stripe {expected}, shown {seen}")
        self._moved.clear()
        return found


class Postman:
    """Delivers events, and keeps what was acknowledged: the id of each event that was answered 200."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.acknowledged: dict[str, str] = {}
        """The outcome by the event's id."""
        self.undelivered: dict[str, Obj] = {}
        self.told: dict[str, Obj] = {}
        self.sent = 0
        self._turn = threading.Lock()

    def shuffle(self, events: Iterable[Obj]) -> list[Obj]:
        """Disorder: each comes up to five places late, and three of ten twice."""
        places = [(at + self.rng.uniform(0, 5), at, event) for at, event in enumerate(events)]
        places += [(at + self.rng.uniform(0, 9), -at, event) for _, at, event in places if self.rng.random() < 0.3]
        return [event for *_, event in sorted(places, key=lambda place: place[:2])]

    def deliver(self, service: Served, events: Iterable[Obj], *, hands: int = 3) -> None:
        """Deliver with several hands at once, until all are tried or the service is gone."""
        waiting = list(events)[::-1]
        self.told |= {event["id"]: event for event in waiting}
        with self._turn:
            self.undelivered |= {e["id"]: e for e in waiting if e["id"] not in self.acknowledged}
        threads = [threading.Thread(target=self._carry, args=(service, waiting)) for _ in range(hands)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _carry(self, service: Served, waiting: list[Obj]) -> None:
        with client_of(service.url) as client:
            while True:
                try:
                    event = waiting.pop()
                except IndexError:
                    return
                try:
                    answer = service.deliver(event, client)
                except httpx.TransportError:
                    return  # it is gone, and whether the event was stored nobody knows
                self.sent += 1
                if answer.status_code == 200:
                    self._note(event["id"], answer.json()["outcome"])
                else:
                    assert answer.status_code == 503, answer.text
                    assert int(answer.headers["Retry-After"]) >= 1

    def _note(self, event_id: str, outcome: str) -> None:
        with self._turn:
            self.undelivered.pop(event_id, None)
            if outcome != "duplicate":  # which another hand may have heard first
                known = self.acknowledged.get(event_id, "duplicate")
                assert known == "duplicate", f"{event_id} was taken twice: {known}, {outcome}"
                self.acknowledged[event_id] = outcome
            self.acknowledged.setdefault(event_id, outcome)

    def resend(self, service: Served, *, seconds: float = 20) -> None:
        """Do what Stripe does with what was not answered 200: send it again until it is."""
        until = time.monotonic() + seconds
        while self.undelivered:
            assert time.monotonic() < until, f"not taken: {list(self.undelivered)[:5]}"
            self.deliver(service, list(self.undelivered.values()))
