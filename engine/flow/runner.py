"""The inbox: a webhook's bytes in, its outcome out, and in between it is on disk.

    verify → read → one unit of work (seen before? weigh, write, redraw) in a group commit → outcome

No call to Stripe lies on this way.  What must be asked about is noted in the same transaction, and whoever
asks (`truth`) is woken after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from interlock.engine.config import Config
from interlock.engine.core.states import Outcome
from interlock.engine.errors import BadSignature
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Store, Work
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import take
from interlock.engine.wire import events as webhooks
from interlock.engine.wire.events import Event
from interlock.engine.wire.signature import verify

T = TypeVar("T")


class Receipt(Struct, frozen=True):
    """What the sender of a webhook is told."""

    id: str
    outcome: Outcome


class Inbox:
    """Takes events in.  `wake_asker` is called when something is to be asked of Stripe."""

    def __init__(self, store: Store, hub: Hub, config: Config) -> None:
        self.wake_asker: Callable[[], None] = lambda: None
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
        event = webhooks.read(body, self._config.user_metadata_keys)
        outcome = await self.work(lambda moment: take(event, body, moment), about=about(event))
        self.counts[outcome.value] += 1
        return Receipt(event.id, outcome)

    async def work(self, unit: Callable[[Unit], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run a unit of work that may change what users see; wakes streams and the asker once it is committed.

        `about` are lock keys, ids of customers and users: units with a key in common run one after another, across
        nodes; others run side by side in one transaction.  A unit without keys has a transaction of its own.
        """
        moments: list[Unit] = []

        def fresh() -> Work[T]:  # the store may retry; use the attempt that committed
            moments.append(self.moment())
            return unit(moments[-1])

        result = await self._store.write(fresh, about=about)
        moment = moments[-1]
        self._hub.publish(moment.touched)
        self._store.announce(moment.touched)
        if moment.asked:
            self.wake_asker()
        return result

    def moment(self) -> Unit:
        """Now, and what a unit of work needs to know."""
        return Unit(now=self._config.clock(), catalogue=self._config.catalogue, livemode=self._livemode)


def about(event: Event) -> tuple[str, ...]:
    """Return the ids of the customer and the users that an event names, or its own."""
    named = (
        event.customer_id,
        event.facts.user_id if event.facts else None,
        event.customer.user_id if event.customer else None,
        event.checkout.user_id if event.checkout else None,
    )
    return tuple({thing for thing in named if thing is not None}) or (event.id,)
