"""How a verb runs: one at a time a user, its calls to Stripe, and then Stripe's answer through the one door.

    take the user's turn → load what they hold → the verb's own guard and calls → ask Stripe → commit → their state

A verb writes no state.  What its calls did is read back from Stripe and committed as every answer is, so a verb that
is lost at any point leaves nothing wrong: a webhook, or the next sweep, brings what it did.  The turn is a lease in
the database, so it holds across nodes, and one whose process died runs out.  No transaction is open while Stripe is
called; webhooks go on meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Struct

from interlock.engine.config import Config
from interlock.engine.core.catalogue import Memory
from interlock.engine.core.holding import Holding
from interlock.engine.errors import NotAccepted, StripeUnavailable
from interlock.engine.flow.asker import Asker
from interlock.engine.flow.runner import Runner
from interlock.engine.units.records.prices import remembered_prices
from interlock.engine.units.records.verbs import end_turn, save_verb_key, take_turn
from interlock.engine.units.turns import begin, holding_now
from interlock.engine.wire import present
from interlock.engine.wire.client import StripeClient, decoded

TURN_SECONDS: Final = 60
"""How long a turn is kept for a process that does not end it; longer than any verb may take."""
_EXPAND: Final = ["schedule", "latest_invoice", "default_payment_method"]


class Turn(Struct, frozen=True):
    """What a verb works with: what the user holds as it begins, and the root of its keys for Stripe."""

    user_id: str
    holding: Holding
    intent: str

    def key(self, step: str) -> str:
        """Return the idempotency key of one of the verb's calls: the same for the same intent and step."""
        return f"interlock-{self.intent}-{step}"


Verb: TypeAlias = Callable[[Turn], Awaitable[str | None]]
"""What a verb does; returns the subscription that Stripe is to be asked about, None where nothing was done."""


class VerbRunner:
    """Runs verbs.  Errors: NotAccepted, StripeRefused, StripeUnavailable, StoreUnavailable."""

    def __init__(self, runner: Runner, asker: Asker, stripe: StripeClient, config: Config) -> None:
        self.stripe = stripe
        self._runner = runner
        self._asker = asker
        self._config = config

    async def run(self, user_id: str, name: str, body: Struct, verb: Verb, key: str | None = None) -> None:
        """Run one verb of a user, and commit what Stripe then says.

        `key` is the caller's own Idempotency-Key: the same key again does nothing more, with another body it is
        refused (`key_reused`).  Without one, the same body decided upon the same state is one intent.
        """
        said = hashlib.sha256(msgspec.json.encode((name, body))).hexdigest()
        lease = await self._take_turn(user_id)
        try:
            async with asyncio.timeout(self._config.whole_seconds):
                begun = await self._runner.run(lambda unit: begin(user_id, key, said, unit), about=(user_id,))
                if begun.done:
                    return
                intent = _intent(user_id, said, key if key is not None else begun.version)
                subscription_id = await verb(Turn(user_id, begun.holding, intent))
                if subscription_id is not None:
                    await self._asker.ask_now(subscription_id, "api")
                if key is not None:
                    await self._runner.run(lambda unit: save_verb_key(user_id, key, said, int(unit.now)))
        except TimeoutError as error:
            raise StripeUnavailable("Stripe did not answer in time") from error
        finally:
            await asyncio.shield(self._runner.run(lambda unit: end_turn(user_id, lease), about=(user_id,)))

    async def holding(self, user_id: str) -> Holding:
        """Return what a user holds now, for what only reads."""
        return await self._runner.run(lambda unit: holding_now(user_id, unit), about=(user_id,))

    async def memory(self, price_ids: set[str]) -> Memory:
        """Return the plans of those prices that a catalogue of this database once named or led to."""
        return await self._runner.run(lambda unit: remembered_prices(price_ids))

    async def subscription(self, subscription_id: str) -> present.SubscriptionNow:
        """Return the subscription as Stripe has it at this moment."""
        answer = await self.stripe.get(f"subscriptions/{quote(subscription_id, safe='')}", expand=_EXPAND)
        return decoded(answer.body, present.SubscriptionNow)

    async def _take_turn(self, user_id: str) -> int:
        """Take the user's turn; raise NotAccepted (`busy`) while another verb has it."""
        now = self._config.clock()
        lease = int((now + TURN_SECONDS) * 1000)
        if not await self._runner.run(lambda unit: take_turn(user_id, int(now * 1000), lease), about=(user_id,)):
            raise NotAccepted("busy", retry_after=1)
        return lease


def _intent(user_id: str, said: str, root: str | int) -> str:
    return hashlib.sha256(msgspec.json.encode((user_id, said, root))).hexdigest()[:32]
