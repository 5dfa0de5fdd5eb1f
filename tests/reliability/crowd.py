"""Many users live through lifecycles side by side, in one real database, and Stripe answers truthfully."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec

from interlock.engine.config import Config
from interlock.engine.core.catalogue import AccessPolicy, Catalogue, Plan
from interlock.engine.core.states import Outcome
from interlock.engine.flow.answers import reading_of
from interlock.engine.flow.asker import claim
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.evidence import take_answer
from interlock.engine.units.records import Question
from interlock.engine.wire import objects as wire
from tests.reliability.bodies import MIDDLE as BETWEEN
from tests.reliability.bodies import NEW, OLD
from tests.reliability.lifecycles import PLACE, Lifecycle

SIDE_BY_SIDE: Final = 64
CATALOGUE: Final = Catalogue(
    access=AccessPolicy(past_due_grace_days=7),
    plans={"pro": Plan(name="Pro", price="price_pro"), "team": Plan(name="Team", price="price_team")},
)
MIXES: Final = ((OLD,), (BETWEEN,), (NEW,), (OLD, NEW), (BETWEEN, NEW, OLD))
"""API versions of one history's events: one for all, or mixed as after an upgrade."""


class Crowd:
    """One lifecycle's users in a store; the clock stands where the lifecycle is looked at."""

    def __init__(self, store: Store, life: Lifecycle) -> None:
        config = Config(
            stripe_key="sk_test_0",
            webhook_secrets=("whsec_0123456789",),
            database_url="",
            catalogue=CATALOGUE,
            app_url="https://app.example",
            clock=lambda: float(life.seen_at),
        )
        self._store = store
        self._life = life
        self._inbox = Runner(store, Hub(), config)
        self._told = [life.told(mix) for mix in MIXES]
        self._truth = msgspec.json.encode(life.truth())
        self.deliveries = 0

    async def live(self, place: str, mix: int, order: Iterable[int], *, settle_between: bool) -> None:
        """Deliver one user's events in this order; whatever is pending is settled at once, or only by `settle`."""
        for number in order:
            body = self._told[mix][number].replace(PLACE.encode(), place.encode())
            receipt = await self._inbox.submit(body)
            self.deliveries += 1
            if settle_between and receipt.outcome is Outcome.PENDING:
                await self._settle_one(f"sub_{place}")

    async def _settle_one(self, subscription_id: str) -> None:
        """Ask as an operator does, until nothing overtakes the answer."""
        outcome = Outcome.PENDING
        while outcome is Outcome.PENDING:
            question = await self._store.write(lambda: _question(subscription_id))
            outcome = await self._answer(question)

    async def settle(self) -> int:
        """Ask whatever is to be asked, as the asker does; returns how often."""
        asked, at = 0, self._life.seen_at * 1000 + 60_000
        while questions := await self._store.write(lambda at=at: claim(at, SIDE_BY_SIDE)):
            await asyncio.gather(*(self._answer(question) for question in questions))
            asked += len(questions)
            at += 60_000
        return asked

    async def _answer(self, question: Question) -> Outcome:
        place = question.subscription_id.removeprefix("sub_")
        body = self._truth.replace(PLACE.encode(), place.encode())
        reading = reading_of(
            msgspec.json.decode(body, type=wire.Subscription), self._life.seen_at, question, "reconcile"
        )
        return await self._inbox.run(lambda unit: take_answer(reading, unit), about=(f"cus_{place}",))

    async def shown(self, place: str) -> dict[str, Any]:
        """Return what this user is shown, without its version and date."""
        user = await self._store.read(lambda: records.user(f"u_{place}"))
        body = user.shown.replace(place.encode(), PLACE.encode()) if user and user.shown else b"{}"
        state: dict[str, Any] = msgspec.json.decode(body)
        return {name: value for name, value in state.items() if name not in ("version", "updated_at")}


async def side_by_side(tasks: Iterable[Callable[[], Awaitable[None]]], at_once: int = SIDE_BY_SIDE) -> None:
    """Run the tasks, so many at a time."""
    waiting = iter(tasks)

    async def work() -> None:
        for task in waiting:
            await task()

    await asyncio.gather(*(work() for _ in range(at_once)))


def _question(subscription_id: str) -> Work[Question]:
    return Question(subscription_id, (yield from records.evidence_of(subscription_id)), 0)
