"""The sweep: what is stored against what Stripe says, for what no webhook reported.

Two ways, and each heals alone: the events that Stripe lists since the last one listed are taken as if they had been
delivered (those stored already are duplicates), and the subscriptions that Stripe lists are compared with ours; each
difference is asked about, and the answer committed under the same fence as any other.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from interlock.engine.core.states import ENDED, Facts, Outcome
from interlock.engine.errors import BadEvent, InterlockError, StripeRefused
from interlock.engine.flow.asker import Asker
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.owners import note_checkout, owner_of_customer
from interlock.engine.units.records import StoredFacts
from interlock.engine.wire import objects as wire
from interlock.engine.wire.client import NoSuchObject, StripeClient, Unreadable, decoded
from interlock.engine.wire.events import EVENT_TYPES
from interlock.engine.wire.reading import facts_of
from interlock.engine.wire.reports import CheckoutReport
from interlock.engine.wire.values import USER_KEYS, Keys, usable_user

log = logging.getLogger("interlock.sweep")

PAGE: Final = 100
_CURSOR: Final = "events_listed_to"
MOST_TYPES: Final = 20
"""Types that Stripe takes in one list of events (docs.stripe.com/api/events/list); more are asked for in groups."""


def groups_of(types: Sequence[str]) -> dict[str, list[str]]:
    """Return event types in groups that Stripe takes, each by the name under which its cursor is kept."""
    starts = range(0, len(types), MOST_TYPES)
    groups = {_CURSOR + (f":{start}" if start else ""): list(types[start : start + MOST_TYPES]) for start in starts}
    assert all(len(group) <= MOST_TYPES for group in groups.values()), "Stripe refuses more types"
    return groups


_GROUPS: Final = groups_of(EVENT_TYPES)

Progress: TypeAlias = Callable[[int, int | None], None]


class Difference(Struct, frozen=True):
    """One field in which the store and Stripe differ, as text; `repaired` once the store says what Stripe says."""

    user_id: str | None
    subscription_id: str
    field: str
    stored: str
    stripe: str
    repaired: bool = False


class _Page(Struct):
    data: list[Raw]
    has_more: bool = False


def _of_user(user_id: str) -> Work[tuple[list[str], list[str]]]:
    customers = yield from records.customers_ever_of_user(user_id)
    subscriptions = yield from records.subscriptions_of_user(user_id)
    for known in subscriptions:
        if known.facts is not None and known.facts.customer_id not in customers:
            customers.append(known.facts.customer_id)
    return customers, [known.subscription_id for known in subscriptions]


def differences(user_id: str | None, stored: Facts | None, stripe: Facts) -> list[Difference]:
    """Name each field in which two facts about one subscription differ."""
    subscription_id = stripe.subscription_id
    if stored is None:
        return [Difference(user_id or stripe.user_id, subscription_id, "status", "(not stored)", stripe.status)]
    pairs = ((name, getattr(stored, name), getattr(stripe, name)) for name in Facts.__struct_fields__)
    return [Difference(user_id, subscription_id, name, _text(a), _text(b)) for name, a, b in pairs if a != b]


def _not_compared(ours: StoredFacts, subscription_id: str, stripe: str) -> Difference:
    stored = "(stored)" if ours.facts else "(not stored)"
    return Difference(ours.user_id, subscription_id, "status", stored, stripe)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    return "-" if value is None else str(value)


class Sweep:
    """Compares and repairs; the background sweep and `interlock reconcile` are its two users."""

    def __init__(
        self, store: Store, runner: Runner, asker: Asker, stripe: StripeClient, keys: Keys = USER_KEYS
    ) -> None:
        self._keys = keys
        self._store = store
        self._runner = runner
        self._asker = asker
        self._stripe = stripe

    async def sweep(self) -> list[Difference]:
        """Recover lost events, compare every subscription, close checkouts whose end was not reported; repair."""
        await self.recover_events()
        found = await self.reconcile(user_id=None, dry_run=False, strangers=False)
        for session_id in await self._store.read(records.open_checkouts):
            try:
                await self._look_at_checkout(session_id)
            except (StripeRefused, Unreadable) as error:
                log.warning("the checkout %s could not be looked at: %s", session_id, error)
        return found

    async def recover_events(self) -> int:
        """Take every event since the last one listed; returns how many were new."""
        return sum([await self._recover(name, types) for name, types in _GROUPS.items()])

    async def _recover(self, name: str, types: list[str]) -> int:
        cursor = await self._store.read(lambda: records.memo(name))
        new = 0
        while cursor is not None:
            try:
                answer = await self._stripe.get("events", ending_before=cursor, limit=PAGE, types=types)
            except StripeRefused:  # the cursor is older than the 30 days that Stripe keeps
                break
            page = decoded(answer.body, _Page)
            for raw in reversed(page.data):
                new += await self._take_again(bytes(raw))
            if page.data:
                cursor = decoded(bytes(page.data[0]), wire.Ref).id
                await self._remember(name, cursor)
            if not page.has_more:
                return new
        await self._remember(name, await self._newest_event(types))
        return new

    async def _remember(self, name: str, cursor: str | None) -> None:
        if cursor is not None:
            await self._store.write(lambda: records.save_memo(name, cursor))

    async def _newest_event(self, types: list[str]) -> str | None:
        page = decoded((await self._stripe.get("events", limit=1, types=types)).body, _Page)
        return decoded(bytes(page.data[0]), wire.Ref).id if page.data else None

    async def _take_again(self, body: bytes) -> int:
        try:
            receipt = await self._runner.submit(body)
        except BadEvent as error:
            log.warning("Stripe listed an event that can't be read: %s", error)
            return 0
        return int(receipt.outcome is not Outcome.DUPLICATE)

    async def reconcile(
        self,
        *,
        user_id: str | None,
        dry_run: bool,
        strangers: bool = True,
        on_progress: Progress = lambda done, total: None,
    ) -> list[Difference]:
        """Compare one user's subscriptions, or all; returns the differences found.

        `strangers`: also take up subscriptions of customers that nothing is known of.  Raises StripeUnavailable.
        """
        found: list[Difference] = []
        seen: set[str] = set()
        customers, stored = await self._store.read(lambda: _of_user(user_id)) if user_id else ([None], [])
        for customer_id in customers:
            filters = {"customer": customer_id} if customer_id else {}
            async for listed in self._listed(filters):
                subscription_id = decoded(listed, wire.Ref).id
                seen.add(subscription_id)
                found += await self._compare(subscription_id, listed, dry_run, strangers or user_id is not None)
                on_progress(len(seen), None)
        for subscription_id in stored if user_id else await self._living():
            if subscription_id not in seen:
                found += await self._compare_unlisted(subscription_id, dry_run)
                seen.add(subscription_id)
                on_progress(len(seen), None)
        on_progress(len(seen), len(seen))
        return found

    async def _listed(self, filters: dict[str, Any]) -> AsyncIterator[bytes]:
        after: dict[str, str] = {}
        while True:
            answer = await self._stripe.get("subscriptions", status="all", limit=PAGE, **filters, **after)
            page = decoded(answer.body, _Page)
            for raw in page.data:
                yield bytes(raw)
            if not page.has_more or not page.data:
                return
            after = {"starting_after": decoded(bytes(page.data[-1]), wire.Ref).id}

    async def _living(self) -> list[str]:
        living: list[str] = []
        while page := await self._store.read(partial(records.living_subscriptions, (living or [""])[-1], PAGE)):
            living += page
        return living

    async def _compare(self, subscription_id: str, listed: bytes, dry_run: bool, strangers: bool) -> list[Difference]:
        ours = await self._store.read(lambda: records.stored_facts(subscription_id))
        stored = ours.facts
        try:
            facts = facts_of(decoded(listed, wire.Subscription), self._keys)
        except Unreadable:  # this one is reported, and the others are compared all the same
            log.warning("what Stripe says of %s could not be read", subscription_id)
            return [_not_compared(ours, subscription_id, "(unreadable)")]
        stranger = stored is None and not strangers and facts.user_id is None
        if stranger and await self._store.read(lambda: owner_of_customer(facts.customer_id)) is None:
            return []
        if stored is not None and stored.status == facts.status and stored.status in ENDED:
            return []  # after the end the last known facts stay
        facts = facts.completed_by(stored)
        found = differences(ours.user_id, stored, facts)
        return await self._repair(facts.subscription_id, found, dry_run) if found else []

    async def _compare_unlisted(self, subscription_id: str, dry_run: bool) -> list[Difference]:
        """A stored one that Stripe did not list: read it by its id.

        That Stripe does not have it counts as one of the two answers that end it.
        """
        try:
            answer = await self._stripe.get(f"subscriptions/{quote(subscription_id, safe='')}")
        except NoSuchObject:
            ours = await self._store.read(lambda: records.stored_facts(subscription_id))
            return await self._repair(
                subscription_id, [_not_compared(ours, subscription_id, "(not at Stripe)")], dry_run
            )
        except StripeRefused:
            ours = await self._store.read(lambda: records.stored_facts(subscription_id))
            return [_not_compared(ours, subscription_id, "(refused by Stripe)")]
        return await self._compare(subscription_id, answer.body, dry_run, True)

    async def _repair(self, subscription_id: str, found: list[Difference], dry_run: bool) -> list[Difference]:
        """Ask about the subscription.  Where the answer says what is stored, an event was faster: no difference."""
        if dry_run:
            return found
        try:
            outcome = await self._asker.ask_now(subscription_id, "reconcile")
        except InterlockError as error:
            log.warning("%s could not be repaired: %s", subscription_id, error)
            return found
        if outcome is Outcome.UNCHANGED:
            return []
        return [msgspec.structs.replace(difference, repaired=outcome is Outcome.APPLIED) for difference in found]

    async def _look_at_checkout(self, session_id: str) -> None:
        """A session that is still open here: where Stripe has ended it, close it as its event would have done."""
        answer = await self._stripe.get(f"checkout/sessions/{session_id}")
        session = decoded(answer.body, wire.CheckoutSession)
        if session.status in ("complete", "expired"):
            report = CheckoutReport(
                session.id,
                session.status,
                wire.ref_id(session.customer),
                usable_user(session.client_reference_id),
            )
            await self._runner.run(lambda unit: note_checkout(report, unit), about=(session.id,))
        subscription_id = wire.ref_id(session.subscription)
        if subscription_id is not None:
            await self._asker.ask_now(subscription_id, "checkout")
