"""Runs units of work: a webhook's bytes in, its outcome out, and in between it is on disk.

    verify → read → one unit (seen before? load, decide, note effects) → its effects → COMMIT → outcome

Every unit ends alike (`whole`), and nothing acts before COMMIT: then streams are woken, other processes told, and
the asker, where Stripe must be asked.  No call to Stripe lies on this way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from interlock.engine.config import Config
from interlock.engine.core.states import Outcome
from interlock.engine.errors import BadSignature
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import take
from interlock.engine.units.prices import note_prices
from interlock.engine.units.projection import project_all
from interlock.engine.units.records import QUESTION
from interlock.engine.wire import events
from interlock.engine.wire.events import Event
from interlock.engine.wire.signature import verify

log = logging.getLogger("interlock")

T = TypeVar("T")


class Receipt(Struct, frozen=True):
    """The answer to a webhook: its event and what came of it."""

    id: str
    outcome: Outcome


def whole(unit: Unit, work: Work[T]) -> Work[T]:
    """A unit's work with its end, as one transaction: save, project each touched user once, ledger, queue."""
    result = yield from work
    for before, after in unit.noted():
        unknown = yield from note_prices(before.known.facts, after.known, after.unknown_prices, unit)
        yield from records.save_subscription(replace(after, unknown_prices=unknown), before)
    yield from project_all(unit)
    for entry in unit.ledger:
        yield from records.add_decision(entry)
    for subscription_id, after_ms in unit.questions.items():
        yield from records.enqueue(QUESTION, subscription_id, int(unit.now * 1000) + after_ms)
    return result


class Runner:
    """Takes events in, and runs every other unit of work.  `questions` is set when Stripe is to be asked."""

    def __init__(self, store: Store, hub: Hub, config: Config) -> None:
        self.questions = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self._store = store
        self._hub = hub
        self._config = config
        self._livemode = config.livemode
        self._secrets = tuple(secret.encode() for secret in config.webhook_secrets)

    async def receive(self, body: bytes, signature: bytes | None) -> Receipt:
        """Take one signed webhook.  Raises BadSignature, BadEvent, StoreUnavailable; returns once it is durable."""
        try:
            verify(body, signature, self._secrets, self._config.clock())
        except BadSignature:
            self.counts["bad_signature"] += 1
            raise
        return await self.submit(body)

    async def submit(self, body: bytes) -> Receipt:
        """Take one event that is known to be Stripe's: verified above, or listed by Stripe itself."""
        event = events.read(body, self._config.user_metadata_keys)
        outcome = await self.run(lambda unit: take(event, body, unit), about=about(event))
        self.counts[outcome.value] += 1
        return Receipt(event.id, outcome)

    async def run(self, work: Callable[[Unit], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run one unit of work with its effects; returns once it is committed.

        `about` are lock keys, ids of customers and users: units with a key in common run one after another, across
        nodes; others run side by side in one transaction.  A unit without keys has a transaction of its own.
        """
        started: list[Unit] = []

        def start() -> Work[T]:  # the store may retry; the attempt that committed is the last
            unit = Unit(self._config.clock(), self._config.catalogue, self._livemode)
            started.append(unit)
            return whole(unit, work(unit))

        result = await self._store.write(start, about=about)
        self._act(started[-1])
        return result

    def _act(self, unit: Unit) -> None:
        """Do what a committed unit entails."""
        if unit.changed:
            self._hub.publish(unit.changed)
            self._store.announce(unit.changed)
        if unit.questions:
            self.questions.set()
        for price_id, subscription_id in unit.first_seen:
            log.warning("no plan sells the price %s, which %s holds: it gives nothing", price_id, subscription_id)


def about(event: Event) -> tuple[str, ...]:
    """Return the ids of the customer and the users that an event names, or its own."""
    named = (
        event.customer_id,
        event.facts.user_id if event.facts else None,
        event.customer.user_id if event.customer else None,
        event.checkout.user_id if event.checkout else None,
    )
    return tuple({thing for thing in named if thing is not None}) or (event.id,)
