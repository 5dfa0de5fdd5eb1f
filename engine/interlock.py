"""The engine's one face: what the API and the commands call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from interlock.engine.commands.checkout import Checkout, CheckoutSession
from interlock.engine.config import Config
from interlock.engine.core import view
from interlock.engine.core.states import State
from interlock.engine.errors import InterlockError, StoreUnavailable, place_of
from interlock.engine.flow.asker import Truth
from interlock.engine.flow.retention import forget_old_payloads
from interlock.engine.flow.runner import Inbox, Receipt
from interlock.engine.flow.streams import Hub, Watch
from interlock.engine.flow.sweep import Difference, Progress, Reconciler
from interlock.engine.store import Store, Work
from interlock.engine.store.opening import open_store
from interlock.engine.units import records
from interlock.engine.units.owners import redraw
from interlock.engine.units.records import Decided, User
from interlock.engine.wire.client import StripeClient, decoded

log = logging.getLogger("interlock")

_TICK_SECONDS: Final = 1.0
_MAX_SEQ: Final = 2**62


class Shown(Struct, frozen=True):
    """A user's state: the JSON, ready to send, and its version."""

    version: int
    body: bytes


class Entry(Struct, frozen=True, rename={"from_": "from"}):
    """One decision of a user's history."""

    seq: int
    at: str
    event_id: str | None
    event_type: str | None
    source: str
    trigger: str | None
    from_: str | None
    to: str | None
    outcome: str
    guard: str | None


class HistoryPage(Struct, frozen=True):
    """Decisions, newest first; `next` goes into `after` for the older ones, None at the end."""

    items: list[Entry]
    next: int | None


def _entry(decided: Decided) -> Entry:
    return Entry(
        seq=decided.seq,
        at=view.rfc3339(decided.at) or "",
        event_id=decided.event_id,
        event_type=decided.event_type,
        source=decided.source,
        trigger=decided.fired,
        from_=decided.from_state,
        to=decided.to_state,
        outcome=decided.outcome,
        guard=decided.guard,
    )


class PlanShown(Struct, frozen=True):
    """One plan of the catalogue; the price's facts are there once Stripe was asked.  `amount` in minor units."""

    key: str
    name: str
    features: tuple[str, ...]
    price_id: str | None
    trial_days: int
    amount: int | UnsetType | None = UNSET
    currency: str | UnsetType = UNSET
    interval: str | UnsetType | None = UNSET


class _Recurring(Struct):
    interval: str


class _Price(Struct):
    id: str
    currency: str
    unit_amount: int | None = None
    recurring: _Recurring | None = None


def _mark(second: str) -> Work[None]:
    """Write something, once a second at most: COMMIT of nothing would succeed on a full disk too."""
    if (yield from records.memo("ready")) != second:
        yield from records.save_memo("ready", second)


class Interlock:
    """One running engine.  Make it with `open`; `close` it at the end."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._hub = Hub()
        self._inbox = Inbox(store, self._hub, config)
        self._stripe = StripeClient(
            config.stripe_key,
            config.stripe_base,
            call_seconds=config.call_seconds,
            whole_seconds=config.whole_seconds,
        )
        self._truth = Truth(store, self._inbox, self._stripe, config)
        self._reconciler = Reconciler(store, self._inbox, self._truth, self._stripe)
        self._checkout = Checkout(store, self._inbox, self._stripe, config)
        self._prices: dict[str, _Price] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.swept = 0
        self.drifted = 0

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
        store.on_foreign_change = self._hub.hear
        if store.exclusive:
            await self._truth.free_leases()
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "asker": self._truth.run,
            "clock": self._follow_clock,
            "prices": self._learn_prices,
        }
        if self._config.reconcile_every > 0:
            work["sweep"] = self._sweep
        if self._config.retention_days > 0:
            work["retention"] = lambda: forget_old_payloads(store, self._config)
        self._tasks = [asyncio.create_task(_for_ever(name, run), name=name) for name, run in work.items()]

    async def close(self) -> None:
        """Stop the background work, commit what waits, let go of the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()
        await self._stripe.close()

    async def receive(self, body: bytes, signature: bytes | None) -> Receipt:
        """Take one signed webhook; returns once it is durable.

        Raises BadSignature, BadEvent, and StoreUnavailable when it could not be stored.
        """
        return await self._inbox.receive(body, signature)

    async def state(self, user_id: str) -> Shown:
        """Return what is shown of a user now.  Raises StoreUnavailable."""
        user = await self._store.read(lambda: records.user(user_id))
        if user is not None and self._is_stale(user):
            await self._inbox.work(lambda unit: redraw(user_id, unit), about=(user_id,))
            user = await self._store.read(lambda: records.user(user_id))
        if user is None or user.shown is None:
            return Shown(0, view.encode(view.nobody(user_id, self._config.catalogue), 0, 0))
        return Shown(user.version, user.shown)

    def _is_stale(self, user: User) -> bool:
        """Whether the clock, or another plan catalogue, has changed what was drawn."""
        by_the_clock = user.shown_until is not None and user.shown_until <= self._config.clock()
        return by_the_clock or user.catalogue != self._config.catalogue.digest

    async def history(self, user_id: str, *, limit: int, after: int | None) -> HistoryPage:
        """Return a user's decisions, newest first, older than `after`."""
        before = _MAX_SEQ if after is None else after
        found = await self._store.read(lambda: records.decisions_of_user(user_id, before, limit + 1))
        items = [_entry(decided) for decided in found[:limit]]
        return HistoryPage(items, items[-1].seq if len(found) > limit else None)

    async def way(self, user_id: str) -> tuple[State, list[tuple[State, State]]]:
        """Return a user's state, and the transitions that their subscription took to it, oldest first."""
        shown = msgspec.json.decode((await self.state(user_id)).body)
        steps = await self._store.read(lambda: records.steps_of_user(user_id))
        its_own = [step for step in steps if step.subscription_id == shown["subscription_id"]]
        return State(shown["state"]), [(State(step.from_state), State(step.to_state)) for step in reversed(its_own)]

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
        return await self._checkout.create(
            user_id, plan=plan, quantity=quantity, promotion_code=promotion_code, email=email
        )

    async def portal(self, user_id: str, *, flow: str | None = None) -> str:
        """Return the address of Stripe's portal for a user.  Raises NoCustomer, StripeRefused, StripeUnavailable."""
        return await self._checkout.portal(user_id, flow=flow)

    async def plans(self) -> list[PlanShown]:
        """Return the plan catalogue, with prices once Stripe has told them."""
        return [self._plan_shown(key) for key in self._config.catalogue.plans]

    def _plan_shown(self, key: str) -> PlanShown:
        plan = self._config.catalogue.plans[key]
        price = self._prices.get(key)
        if price is None:
            return PlanShown(key, plan.name, plan.features, plan.price, plan.trial_days)
        interval = price.recurring.interval if price.recurring else None
        return PlanShown(
            key, plan.name, plan.features, price.id, plan.trial_days, price.unit_amount, price.currency, interval
        )

    def watch(self, user_id: str) -> AbstractContextManager[Watch]:
        """Watch a user's state for the length of a block."""
        return self._hub.watch(user_id)

    async def faults(self) -> list[str]:
        """Return what keeps the engine from its work; empty when it is ready."""
        faults = [f"{task.get_name()} has stopped" for task in self._tasks if task.done()]
        try:
            async with asyncio.timeout(3):
                await self._store.write(lambda: _mark(str(int(self._config.clock()))))
        except (StoreUnavailable, TimeoutError) as error:
            faults.append(f"the database can't be written: {str(error) or 'it does not answer'}")
        return faults

    async def metrics(self) -> dict[str, float]:
        """Return counters and gauges by their Prometheus names."""
        waiting = await self._store.read(records.waiting_questions)
        counts = {f'interlock_webhooks_total{{outcome="{name}"}}': n for name, n in sorted(self._inbox.counts.items())}
        return {
            **counts,
            "interlock_pending_questions": float(waiting.count),
            "interlock_stripe_questions_total": float(self._truth.asked),
            "interlock_stripe_failures_total": float(self._truth.failed),
            "interlock_sweeps_total": float(self.swept),
            "interlock_drift_total": float(self.drifted),
        }

    async def reconcile(
        self, *, user_id: str | None, everything: bool, dry_run: bool, on_progress: Progress = lambda done, total: None
    ) -> list[Difference]:
        """Compare what is stored with Stripe, one user's or all, and repair it unless `dry_run`.

        `everything` also takes up subscriptions whose customers are not known here.  Raises StripeUnavailable.
        """
        return await self._reconciler.reconcile(
            user_id=user_id, dry_run=dry_run, strangers=everything, on_progress=on_progress
        )

    async def sweep(self) -> list[Difference]:
        """Sweep once, as the background does every RECONCILE_EVERY seconds."""
        found = await self._reconciler.sweep()
        self.swept += 1
        self.drifted += len({difference.subscription_id for difference in found})
        return found

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._config.reconcile_every)
            try:
                # With several nodes one of them sweeps, and the others find it done.
                async with self._store.alone("sweep", self._config.reconcile_every / 2) as mine:
                    if mine:
                        await self.sweep()
            except InterlockError as error:
                log.warning("the sweep stopped early: %s", error)

    async def _follow_clock(self) -> None:
        """Redraw whoever the clock alone has changed, so that their streams hear of it."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = int(self._config.clock())
            try:
                for user_id in await self._store.read(lambda now=now: records.users_due(now)):
                    await self._inbox.work(lambda unit, user_id=user_id: redraw(user_id, unit), about=(user_id,))
            except StoreUnavailable as error:
                log.warning("the clock could not redraw: %s", error)

    async def _learn_prices(self) -> None:
        """Ask Stripe what the plans cost; again soon while it can't be reached, now and then once it could."""
        while True:
            unknown = False
            for key, plan in self._config.catalogue.plans.items():
                try:
                    price_id = await self._checkout.price_id(plan)
                    self._prices[key] = decoded((await self._stripe.get(f"prices/{price_id}")).body, _Price)
                except InterlockError as error:
                    log.warning("the price of the plan %r is not known yet: %s", key, error)
                    unknown = True
            await asyncio.sleep(15 if unknown else 3600)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Keep a background task going: a fault of ours in one round must not end what customers wait for."""
    while True:
        try:
            await run()
        except Exception as error:
            log.error("%s failed and starts again: %s", name, place_of(error))
            await asyncio.sleep(1)
