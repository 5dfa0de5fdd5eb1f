"""Named lifecycles with their truth, and whoever answers for Stripe in these tests."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from interlock.engine.core.states import Outcome
from interlock.engine.flow.answers import reading_of
from interlock.engine.flow.asker import claim
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store, Work
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.units import records
from interlock.engine.units.evidence import take_answer
from interlock.engine.units.records import Question
from interlock.engine.wire import objects as wire
from interlock.engine.wire import reading
from tests.kit.bodies import T0, Life, Sub, body_of

NOW: Final = T0 + 10_000
_numbers: Final = itertools.count(1)


def five_events(name: str | None = None, user: str | None = None) -> tuple[Life, list[bytes]]:
    """A trial, paid, failed, recovered and canceled; two of the five in the same second.

    Returns the life, whose `sub` is Stripe's truth at the end, and the events in Stripe's order.
    """
    name = name or f"x{next(_numbers)}"
    sub = Sub(id=f"sub_{name}", customer=f"cus_{name}", user=user or f"u_{name}", status="trialing", trial_end=T0 + 500,
              latest_invoice=f"in_{name}")  # fmt: skip
    life = Life(sub)
    life.create()
    life.update(T0 + 500, status="active")
    life.update(T0 + 500, status="past_due")
    life.update(T0 + 900, status="active")
    life.end(T0 + 1_000)
    for number, told in enumerate(life.told):
        told["id"] = f"evt_{name}_{number}"
    return life, [body_of(told) for told in life.told]


def lives_of(count: int) -> list[Life]:
    """Subscriptions of two or three events, many of them within one second, all at their ends."""
    lives = [Life(Sub(id=f"sub_{n}", customer=f"cus_{n}", user=f"u_{n}", trial_end=T0 + 99)) for n in range(count)]
    for n, life in enumerate(lives):
        life.create()
        life.update(T0 + n % 3, status=("past_due", "active", "unpaid")[n % 3], cancel_at=T0 + 10**8)
        if n % 4 == 0:
            life.end(T0 + n % 5)
        for number, told in enumerate(life.told):
            told["id"] = f"evt_{n}_{number}"
    return lives


class Timeline:
    """Stripe, as far as it answers reads: every subscription as it is at the end of its life."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self._subs: dict[str, wire.Subscription] = {
            life.sub.id: msgspec.json.decode(json.dumps(life.sub.json()), type=wire.Subscription) for life in lives
        }

    def facts(self, subscription_id: str) -> Any:
        """What Stripe says of one."""
        return reading.facts_of(self._subs[subscription_id])

    async def answer_all(self, store: Store, inbox: Runner) -> int:
        """Ask and answer until nothing is open, as the asker does; returns how many were asked."""
        asked, now_ms = 0, int(NOW * 1000) + 60_000
        while True:
            questions = await store.write(lambda now_ms=now_ms: claim(now_ms, 64))
            if not questions:
                return asked
            asked += len(questions)
            now_ms += 20_000  # a lease that an answer lost is over
            await asyncio.gather(*(self._answer(inbox, question) for question in questions))

    async def _answer(self, inbox: Runner, question: Question) -> Outcome:
        reading = reading_of(self._subs[question.subscription_id], NOW, question, "reconcile")
        return await inbox.run(lambda unit: take_answer(reading, unit), about=(self._customer(question),))

    def _customer(self, question: Question) -> str:
        return self.facts(question.subscription_id).customer_id


def held(subscription_id: str) -> Work[Any]:
    """What is stored of a subscription."""
    return (yield from records.subscription(subscription_id)).known


def many(*queries: tuple[str, tuple[Any, ...]]) -> Work[Any]:
    """A unit of work of plain statements, their arguments in the order of their parameters; returns the last's rows."""
    rows: Any = None
    for name, arguments in queries:
        rows = yield STATEMENTS[name], arguments
    return rows
