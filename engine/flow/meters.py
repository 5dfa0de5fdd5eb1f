"""Keeps Stripe's meters equal with what was counted.

    count → minute → event (stored, with its identifier) → queue → Stripe → delivered

Use is gathered by customer, meter and minute, in the transaction that counts it.  A minute that is over becomes an
event with an identifier that it keeps for ever, and only then is anything sent.  Stripe takes an identifier once
within 24 hours, and says that it exists already where it comes again: it was delivered.  An event that may have
been taken longer ago is first compared with the meter's own summary.  What Stripe will never take is dead, and
says why.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from interlock.engine.config import Config
from interlock.engine.core.windows import Period, period_window
from interlock.engine.errors import InterlockError, KeyRefused, StripeRefused, StripeUnavailable
from interlock.engine.flow.runner import Runner
from interlock.engine.store import Store, Work
from interlock.engine.units import meters as units
from interlock.engine.units import records
from interlock.engine.units.records import MeterEvent
from interlock.engine.units.usage import DAY
from interlock.engine.wire.client import StripeClient, decoded
from interlock.engine.wire.meters import ErrorReport, MeterList, Session, SummaryList, Taken, event_v1, event_v2

log = logging.getLogger("interlock.meters")

CLOSE_EVERY: Final = 5.0
"""Seconds between two looks for minutes that are over."""
AT_ONCE: Final = 8
"""Meter events on their way at a time."""
_BATCH: Final = 200
OPEN_FOR: Final = 3600
"""For how long Stripe keeps the invoice of a period open for late use, in seconds, unless it is set otherwise."""
STREAM_FROM: Final = 1000
"""With more events waiting than this, the stream is used: 100 a request, in live mode only."""
STREAM_BATCH: Final = 100
_SESSION_SECONDS: Final = 14 * 60
_KEPT: Final = 40 * DAY


class NotToldYet(StripeUnavailable):
    """Whether an event has arrived can't be said yet."""


class Meters:
    """Tells Stripe's meters what was used."""

    def __init__(self, store: Store, runner: Runner, stripe: StripeClient, config: Config) -> None:
        self._store = store
        self._runner = runner
        self._stripe = stripe
        self._config = config
        self._ids: dict[str, str] = {}
        self._token: tuple[str, float] | None = None

    async def run(self) -> None:
        """Make events of minutes that are over, and send them, for ever; of several nodes one does at a time."""
        while True:
            try:
                await self.close_minutes()
                waiting, _ = await self._store.read(records.open_meter_events)
                if waiting:
                    async with self._store.alone("meters", 0) as mine:
                        if mine:
                            await self.send_waiting()
            except InterlockError as error:
                log.warning("metered use waits: %s", error)
            await asyncio.sleep(CLOSE_EVERY)

    async def close_minutes(self) -> None:
        """Make events of all minutes that are over."""
        now = int(self._config.clock())
        before, more = now - now % 60, True
        while more:
            token = secrets.token_hex(8)
            more = await self._store.write(lambda token=token: units.close_minutes(before, token)) >= _BATCH

    async def flush(self, customer_id: str) -> bool:
        """Send all that a customer used, the present minute too; returns whether Stripe has it.

        For what is about to end a subscription at once: use that comes later is on no invoice.
        """
        token = secrets.token_hex(8)
        try:
            for identifier in await self._store.write(lambda: units.close_minutes_of(customer_id, token)):
                await self.send(identifier)
        except InterlockError as error:
            log.warning("the last use of %s could not be sent before its subscription ends: %s", customer_id, error)
            return False
        return True

    # --- sending -----------------------------------------------------------------------------------------

    async def send_waiting(self) -> None:
        """Send all that waits, the oldest first.  Raises StripeUnavailable, KeyRefused: the rest waits then."""
        waiting, _ = await self._store.read(records.open_meter_events)
        while self._config.livemode and waiting > STREAM_FROM and await self._stream():
            waiting, _ = await self._store.read(records.open_meter_events)
        at, last = -1, ""
        while page := await self._store.read(lambda at=at, last=last: records.waiting_meter_events(at, last, _BATCH)):
            await self._send_page(page)
            at, last = page[-1].minute, page[-1].identifier

    async def _send_page(self, page: list[MeterEvent]) -> None:
        """Send events, several at a time, but those of one customer and meter one after another: so Stripe asks."""
        rows: dict[tuple[str, str], list[MeterEvent]] = {}
        for event in page:
            rows.setdefault((event.customer_id, event.event_name), []).append(event)
        free = asyncio.Semaphore(AT_ONCE)

        async def send_row(events: list[MeterEvent]) -> None:
            async with free:
                for event in events:
                    try:
                        await self.send(event.identifier)
                    except NotToldYet as error:
                        log.warning("meter event %s waits: %s", event.identifier, error)

        failed = [each for each in await asyncio.gather(*map(send_row, rows.values()), return_exceptions=True) if each]
        if failed:
            raise failed[0]

    async def send(self, identifier: str) -> None:
        """Send one event, unless it needs no sending any more."""
        sending = await self._runner.run(lambda unit: units.begin_sending(identifier, unit), about=(identifier,))
        if sending is None:
            return
        if sending.unsure:
            if await self._has_arrived(sending.event):
                await self._settle(sending.event, "delivered")
                return
            await self._runner.run(lambda unit: units.send_anew(identifier, unit))
        await self._post(sending.event)

    async def _post(self, event: MeterEvent) -> None:
        # A key of its own each time: Stripe would repeat a failure of its own under the same one for a day.
        key = f"{event.identifier}_{secrets.token_hex(4)}"
        try:
            await self._stripe.post("billing/meter_events", Taken, event_v1(*_said(event)), idempotency_key=key)
        except KeyRefused:
            raise
        except StripeRefused as error:
            if "already exists with identifier" not in error.said:
                log.error("Stripe will never take meter event %s: %s", event.identifier, error.said)
                await self._settle(event, "dead", why=error.reason or error.said)
                return
        await self._settle(event, "delivered")

    async def _settle(self, event: MeterEvent, state: str, *, why: str | None = None) -> None:
        late = state == "delivered" and await self._store.read(lambda: _is_late(event, int(self._config.clock())))
        if late:
            log.error(
                "%s of %s at %s reached Stripe after the invoice of its period was closed: it is on no invoice",
                event.value, event.customer_id, event.event_name,
            )  # fmt: skip
        await self._runner.run(lambda unit: units.settle(event.identifier, state, unit, why=why, late=late))

    async def _has_arrived(self, event: MeterEvent) -> bool:
        """Whether the meter's summary of that minute holds the event beside the others that were delivered."""
        end = event.minute - event.minute % 60 + 60
        total = await self.summary(event.customer_id, event.event_name, end - 60, end)
        told = await self._store.read(lambda: units.told(event.customer_id, event.event_name, end - 60, end))
        surplus = total - told.delivered
        if surplus not in (0, event.value):
            raise NotToldYet("the meter's summary does not tell whether it has arrived")
        return surplus == event.value

    async def _stream(self) -> bool:
        """Send the oldest events, as many as the stream takes at once; returns whether there were any.

        What is wrong with one is reported later.
        """
        batch = await self._runner.run(lambda unit: units.begin_sending_batch(STREAM_BATCH, unit))
        if not batch:
            return False
        now = self._config.clock()
        if self._token is None or self._token[1] <= now:
            session = await self._stripe.post_v2("billing/meter_event_session", {})
            self._token = decoded(session, Session).authentication_token, now + _SESSION_SECONDS
        events = [event_v2(*_said(event)) for event in batch]
        await self._stripe.post_v2("billing/meter_event_stream", {"events": events}, stream_token=self._token[0])
        for event in batch:
            await self._settle(event, "delivered")
        return True

    # --- what Stripe says --------------------------------------------------------------------------------

    async def summary(self, customer_id: str, event_name: str, since: int, before: int) -> float:
        """Ask Stripe for what a meter has of a customer between two whole minutes."""
        meter_id = await self._meter_id(event_name)
        answer = await self._stripe.get(
            f"billing/meters/{meter_id}/event_summaries", customer=customer_id, start_time=since, end_time=before
        )
        return sum(one.aggregated_value for one in decoded(answer.body, SummaryList).data)

    async def take_error_report(self, event_id: str) -> None:
        """Read what was wrong with events that Stripe took and could not count; those that it names are dead."""
        report = decoded(await self._stripe.get_v2(f"core/events/{event_id}"), ErrorReport).data.reason
        for kind in report.error_types:
            log.error("Stripe could not count %d meter events: %s", kind.error_count, kind.code)
            for sample in kind.sample_errors:
                identifier = sample.request.identifier
                if identifier is not None:
                    await self._runner.run(
                        lambda unit, identifier=identifier, kind=kind: units.settle(
                            identifier, "dead", unit, why=kind.code
                        )
                    )

    async def _meter_id(self, event_name: str) -> str:
        if event_name not in self._ids:
            answer = await self._stripe.get("billing/meters", status="active", limit=100)
            self._ids |= {one.event_name: one.id for one in decoded(answer.body, MeterList).data}
        if event_name not in self._ids:
            raise StripeUnavailable(f"Stripe has no active meter {event_name}")
        return self._ids[event_name]

    async def faults(self) -> list[str]:
        """Say what is wrong with the meters that the catalogue names: one line each, with its mend."""
        rules = self._config.catalogue.features
        named = {rule.meter: key for key, rule in rules.items() if rule.meter is not None}
        if not named:
            return []
        answer = await self._stripe.get("billing/meters", status="active", limit=100)
        known = {one.event_name: one for one in decoded(answer.body, MeterList).data}
        found: list[str] = []
        for name, key in named.items():
            meter = known.get(name)
            if meter is None:
                found.append(f"feature {key!r}: Stripe has no active meter {name!r}; make it, or mend `meter`")
            elif (formula := meter.formula) != "sum":
                found.append(f"feature {key!r}: meter {name!r} takes the {formula}; it must take the sum")
        return found


def _said(event: MeterEvent) -> tuple[str, str, str, int, int]:
    return event.event_name, event.identifier, event.customer_id, event.minute, event.value


def _is_late(event: MeterEvent, now: int) -> Work[bool]:
    """Whether the invoice of an event's period was closed when it was delivered, for every subscription."""
    ids = yield from records.subscriptions_of_customer(event.customer_id)
    closings: list[int] = []
    for subscription_id in ids:
        facts = (yield from records.stored_facts(subscription_id)).facts
        if facts is None or facts.current_period_end is None:
            continue
        item = facts.items[0] if facts.items else None
        period = Period(
            facts.current_period_end,
            interval=(item.interval if item else None) or "month",
            interval_count=item.interval_count if item else 1,
        )
        closings.append(facts.ended_at or period_window(period, now).start)
    return bool(closings) and all(event.minute < closing <= now - OPEN_FOR for closing in closings)
