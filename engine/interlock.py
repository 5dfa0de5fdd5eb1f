"""The engine's one face: open it, close it, and hand each call on to the room that does it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from interlock.engine.account import Account
from interlock.engine.commands.checkout import Checkout, CheckoutSession, Wish
from interlock.engine.commands.portal import Portal
from interlock.engine.config import Config
from interlock.engine.core.states import State
from interlock.engine.core.view import DatedState
from interlock.engine.errors import StoreUnavailable
from interlock.engine.flow.asker import Asker
from interlock.engine.flow.background import Background
from interlock.engine.flow.runner import Receipt, Runner
from interlock.engine.flow.streams import Hub, Watch
from interlock.engine.flow.sweep import Difference, Progress, Sweep
from interlock.engine.flow.verbs import VerbRunner
from interlock.engine.read.history import HistoryPage, history_of
from interlock.engine.read.prices import PlanShown, Prices
from interlock.engine.read.state import Shown, States
from interlock.engine.store import Store, Work
from interlock.engine.store.opening import open_store
from interlock.engine.units import records
from interlock.engine.units.prices import count_unknown
from interlock.engine.usage import UsageFace
from interlock.engine.wire.client import StripeClient

_decode_state: Final = msgspec.json.Decoder(DatedState).decode


def _mark(second: str) -> Work[None]:
    """Write something, once a second at most: COMMIT of nothing would succeed on a full disk too."""
    if (yield from records.memo("ready")) != second:
        yield from records.save_memo("ready", second)


class Interlock(Account, UsageFace):
    """One running engine.  Make it with `open`; `close` it at the end."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._hub = Hub()
        self._runner = Runner(store, self._hub, config)
        self._stripe = StripeClient(
            config.stripe_key,
            config.stripe_base,
            call_seconds=config.call_seconds,
            whole_seconds=config.whole_seconds,
        )
        self._asker = Asker(store, self._runner, self._stripe, config)
        self._sweep = Sweep(store, self._runner, self._asker, self._stripe, config.user_metadata_keys)
        self._background = Background(store, self._runner, self._sweep, config)
        self._states = States(store, self._runner, config)
        self._prices = Prices(self._stripe, config.catalogue, self._background.remember)
        self._checkout = Checkout(self._runner, self._stripe, config)
        super().__init__(VerbRunner(self._runner, self._asker, self._stripe, config), config)
        self._portal = Portal(store, self._runner, self._stripe, config)
        self._open_usage(store, self._runner, self._stripe, config)

    @classmethod
    async def open(cls, config: Config, *, service: bool = True) -> Interlock:
        """Open the database, bring its schema up to date, and start the background work.

        `service` False is for a command beside a running service: nothing runs in the background.
        Raises BadConfiguration.
        """
        store = await open_store(config.database_url, service=service)
        engine = cls(store, config)
        if service:
            try:
                await engine._start(store)
            except BaseException:
                await engine.close()  # an open store keeps the process alive, and nothing would serve
                raise
        return engine

    async def _start(self, store: Store) -> None:
        store.on_foreign_change = self._hub.changed_elsewhere
        if store.exclusive:
            await self._asker.free_leases()
        self._background.start({"asker": self._asker.run, "prices": self._prices.learn, **self._usage_tasks()})

    async def close(self) -> None:
        """Stop the background work, commit what waits, let go of the database."""
        await self._background.stop()
        await self._store.close()
        await self._stripe.close()

    async def receive(self, body: bytes, signature: bytes | None) -> Receipt:
        """Take one signed webhook; returns once it is durable.

        Raises BadSignature, BadEvent, and StoreUnavailable when it could not be stored.
        """
        return await self._runner.receive(body, signature)

    async def state(self, user_id: str) -> DatedState:
        """Return the state of a user now.  Raises StoreUnavailable."""
        return _decode_state((await self.shown(user_id)).body)

    async def shown(self, user_id: str) -> Shown:
        """Return the same as JSON, ready to send.  Raises StoreUnavailable."""
        return await self._states.shown(user_id)

    async def history(self, user_id: str, *, limit: int, after: int | None) -> HistoryPage:
        """Return a user's decisions, newest first, older than `after`."""
        return await history_of(self._store, user_id, limit=limit, after=after)

    async def way(self, user_id: str) -> tuple[State, list[tuple[State, State]]]:
        """Return a user's state, and the transitions that their subscription took to it, oldest first."""
        return await self._states.path(user_id)

    async def checkout(
        self,
        user_id: str,
        *,
        plan: str,
        quantity: int = 1,
        promotion_code: str | None = None,
        email: str | None = None,
    ) -> CheckoutSession:
        """Return a checkout session for a plan, the open one where there is one.

        Raises UnknownPlan, UnknownPromotionCode, AlreadySubscribed, StripeRefused, StripeUnavailable.
        """
        wish = Wish(plan=plan, quantity=quantity, promotion_code=promotion_code, email=email)
        return await self._checkout.create(user_id, wish)

    async def portal(self, user_id: str, *, flow: str | None = None) -> str:
        """Return the address of Stripe's portal for a user.  Raises NoCustomer, StripeRefused, StripeUnavailable."""
        return await self._portal.open(user_id, flow=flow)

    async def plans(self) -> list[PlanShown]:
        """Return the plan catalogue, with prices once Stripe has told them."""
        return self._prices.plans()

    def watch(self, user_id: str) -> AbstractContextManager[Watch]:
        """Watch a user's state for the length of a block."""
        return self._hub.watch(user_id)

    async def faults(self) -> list[str]:
        """Return what keeps the engine from its work; empty when it is ready."""
        faults = [f"{name} has stopped" for name in self._background.stopped()]
        try:
            async with asyncio.timeout(3):
                await self._store.write(lambda: _mark(str(int(self._config.clock()))))
        except (StoreUnavailable, TimeoutError) as error:
            faults.append(f"the database can't be written: {str(error) or 'it does not answer'}")
        return faults

    async def metrics(self) -> dict[str, float]:
        """Return counters and gauges by their Prometheus names."""
        waiting = await self._store.read(lambda: records.waiting(records.QUESTION))
        unknown = await self._store.read(count_unknown)
        counts = {f'interlock_webhooks_total{{outcome="{name}"}}': n for name, n in sorted(self._runner.counts.items())}
        return {
            **counts,
            "interlock_pending_questions": float(waiting.count),
            "interlock_stripe_questions_total": float(self._asker.asked),
            "interlock_stripe_failures_total": float(self._asker.failed),
            "interlock_sweeps_total": float(self._background.swept),
            "interlock_drift_total": float(self._background.drifted),
            **{f'interlock_unknown_price_subscriptions{{price="{price}"}}': float(n) for price, n in unknown.items()},
        }

    async def reconcile(
        self, *, user_id: str | None, everything: bool, dry_run: bool, on_progress: Progress = lambda done, total: None
    ) -> list[Difference]:
        """Compare what is stored with Stripe, one user's or all, and repair it unless `dry_run`.

        `everything` also takes up subscriptions whose customers are not known here.  Raises StripeUnavailable.
        """
        return await self._sweep.reconcile(
            user_id=user_id, dry_run=dry_run, strangers=everything, on_progress=on_progress
        )

    async def sweep(self) -> list[Difference]:
        """Sweep once, as the background does every RECONCILE_EVERY seconds."""
        return await self._background.sweep()
