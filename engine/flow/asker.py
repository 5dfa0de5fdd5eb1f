"""Asks Stripe about what a webhook could not prove.

    claim (a lease, and the count of evidence) → read Stripe → commit, if no evidence arrived meanwhile

The three are separate steps, and a crash between any two leaves the question standing: its lease ends, and any
process asks again.  While Stripe is out of reach nothing is given up; one backing-off pause holds for
all questions, so that an outage is not answered with a storm.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from interlock.engine.config import Config
from interlock.engine.core.states import Outcome
from interlock.engine.errors import StoreUnavailable, StripeRefused, StripeUnavailable
from interlock.engine.flow.answers import read_stripe
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.evidence import Reading, take_answer
from interlock.engine.units.records import QUESTION, Question
from interlock.engine.wire.client import StripeClient, Unreadable

log = logging.getLogger("interlock.asker")

AT_ONCE: Final = 8
"""Questions under way at a time: Stripe allows 100 reads a second, and other programs share them."""
LEASE_MS: Final = 10_000
"""How long a question is one asker's.  A slower answer may be doubled by another asker's, which does no harm."""
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_LONGEST_SLEEP: Final = 5.0
_MOST_ERROR: Final = 500


def claim(now_ms: int, limit: int) -> Work[list[Question]]:
    """Lease what is due; the lease of a process that dies ends by itself."""
    questions: list[Question] = []
    for job in (yield from records.lease(QUESTION, now_ms, now_ms + LEASE_MS, limit)):
        evidence = yield from records.evidence_of(job.key)
        questions.append(Question(job.key, evidence, job.attempts))
    return questions


def _again(question: Question, due_ms: int, error: str) -> Work[None]:
    return records.postpone(QUESTION, question.subscription_id, due_ms, error=error[:_MOST_ERROR])


class Asker:
    """The asker: a task that asks what is due, and an answer to a single question on demand."""

    def __init__(self, store: Store, runner: Runner, stripe: StripeClient, config: Config) -> None:
        self.asked = 0
        self.failed = 0
        self._store = store
        self._runner = runner
        self._stripe = stripe
        self._clock = config.clock
        self._keys = config.user_metadata_keys
        self._failures = 0

    async def free_leases(self) -> None:
        """Forget the leases of a process that is gone; only where no other can be running."""
        await self._store.write(records.free_leases)

    async def run(self) -> None:
        """Ask what is due, for ever."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                if len(under_way) == AT_ONCE:
                    _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                under_way = {task for task in under_way if not task.done()}
                self._runner.questions.clear()
                questions = await self._claim_due(AT_ONCE - len(under_way))
                under_way |= {asyncio.create_task(self._answer_one(question)) for question in questions}
                if not questions:
                    await self._sleep_until_due()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def ask_now(self, subscription_id: str, source: str) -> Outcome:
        """Ask about one subscription now; returns what came of it.  Raises StripeUnavailable, StripeRefused."""
        while True:
            held = await self._store.write(lambda: records.subscription(subscription_id))
            question = Question(subscription_id, held.known.evidence, 0)
            outcome = await self._commit(await read_stripe(self._stripe, question, source, self._keys))
            if outcome is not Outcome.PENDING:
                return outcome

    async def _claim_due(self, limit: int) -> list[Question]:
        now_ms = int(self._clock() * 1000)
        try:
            return await self._store.write(lambda: claim(now_ms, limit))
        except StoreUnavailable:
            await asyncio.sleep(1.0)
            return []

    async def _sleep_until_due(self) -> None:
        try:
            due = (await self._store.read(lambda: records.waiting(QUESTION))).next_due
        except StoreUnavailable:
            due = None
        seconds = _LONGEST_SLEEP if due is None else min(due / 1000 - self._clock(), _LONGEST_SLEEP)
        try:
            await asyncio.wait_for(self._runner.questions.wait(), max(seconds, 0.01))
        except TimeoutError:
            return

    async def _answer_one(self, question: Question) -> None:
        """Ask, and commit; what fails stands again after a pause that grows while Stripe is out of reach."""
        self.asked += 1
        try:
            await self._commit(await read_stripe(self._stripe, question, keys=self._keys))
            self._failures = 0
        except (Unreadable, StripeRefused) as error:  # Stripe is there: it is about this one subscription
            await self._postpone(question, error, question.attempts)
        except StripeUnavailable as error:
            self._failures += 1
            # Sleeping here holds one of the 8 slots, which throttles calls during an outage.
            await asyncio.sleep(await self._postpone(question, error, self._failures))
            self._runner.questions.set()
        except StoreUnavailable:
            log.warning("the answer about %s could not be stored; its lease runs out", question.subscription_id)

    async def _postpone(self, question: Question, error: Exception, failures: int) -> float:
        """Ask again after a pause that grows with the failures in a row; returns the pause in seconds."""
        pause = _PAUSES[min(failures, len(_PAUSES)) - 1] * random.uniform(0.75, 1.25)  # noqa: S311
        self.failed += 1
        log.warning("asking Stripe about %s: %s; again in %.1f s", question.subscription_id, error, pause)
        due_ms = int((self._clock() + pause) * 1000)
        try:
            await self._store.write(lambda: _again(question, due_ms, str(error)))
        except StoreUnavailable:
            log.warning("could not note when to ask again about %s", question.subscription_id)
        self._runner.questions.set()
        return pause

    async def _commit(self, reading: Reading) -> Outcome:
        """Commit an answer; `pending` means that evidence overtook it, and the question stands, due at once."""
        facts = reading.facts
        named = (facts.customer_id, facts.user_id) if facts else (reading.subscription_id,)
        about = tuple(thing for thing in named if thing is not None)
        outcome = await self._runner.run(lambda unit: take_answer(reading, unit), about=about)
        if outcome is Outcome.PENDING:
            due_ms = int(self._clock() * 1000)
            await self._store.write(lambda: records.postpone(QUESTION, reading.subscription_id, due_ms))
            self._runner.questions.set()
        return outcome
