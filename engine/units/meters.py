"""What becomes of metered use, as units of work: minutes that are over become events, events are sent and settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.records import MeterEvent, Minute

SURE_FOR: Final = 23 * 3600
"""For how long Stripe certainly knows an identifier again (24 hours), less an hour."""
OLDEST: Final = 35 * 86_400
"""Stripe takes no event that is older."""


def close_minutes(before: int, token: str) -> Work[int]:
    """Make events of the oldest minutes that began before a time; returns how many minutes it took.

    `token` is new each time: their identifiers are made of it.
    """
    minutes = yield from records.take_minutes(before)
    for identifier, minute in _named(minutes, token):
        yield from records.add_meter_event(identifier, minute)
    return len(minutes)


def close_minutes_of(customer_id: str, token: str) -> Work[list[str]]:
    """Make events of all that a customer used, the present minute too; returns their identifiers."""
    named = list(_named((yield from records.take_minutes_of(customer_id)), token))
    for identifier, minute in named:
        yield from records.add_meter_event(identifier, minute)
    return [identifier for identifier, _ in named]


def _named(minutes: Sequence[Minute], token: str) -> Iterator[tuple[str, Minute]]:
    """Name each minute; what was corrected away within the minute is nothing to send."""
    return ((f"interlock_{token}_{n}", minute) for n, minute in enumerate(minutes) if minute.value)


class Sending(Struct, frozen=True):
    """An event that is about to be sent.  `unsure`: it may have arrived before, and its identifier is forgotten."""

    event: MeterEvent
    unsure: bool


def begin_sending(identifier: str, unit: Unit) -> Work[Sending | None]:
    """Note that an event is given to Stripe; None where it needs no sending any more."""
    event = yield from records.meter_event(identifier)
    if event is None or event.state != "waiting":
        return None
    now = int(unit.now)
    if event.minute <= now - OLDEST:
        yield from records.settle_meter_event(identifier, "dead", now, "timestamp_too_far_in_past")
        return None
    unsure = event.first_sent_at is not None and event.first_sent_at <= now - SURE_FOR
    if event.first_sent_at is None:
        yield from records.note_sending(identifier, now)
    return Sending(event, unsure)


def send_anew(identifier: str, unit: Unit) -> Work[None]:
    """Note that what was sent before did not arrive: its identifier is new to Stripe from now on."""
    yield from records.note_sending(identifier, int(unit.now))


def settle(identifier: str, state: str, unit: Unit, *, why: str | None = None, late: bool = False) -> Work[None]:
    """Note what became of an event: `delivered`, or `dead` and why."""
    yield from records.settle_meter_event(identifier, state, int(unit.now), why, late=late)


class Told(Struct, frozen=True):
    """What Stripe's meter should say of a customer between two times, by what was delivered.

    `waiting` is not sent yet, or not known to have arrived; `dead` was given up.
    """

    delivered: int = 0
    waiting: int = 0
    dead: int = 0


def told(customer_id: str, event_name: str, since: int, before: int) -> Work[Told]:
    """Add up what Stripe was told of a customer and meter."""
    events = yield from records.meter_events_of(customer_id, event_name, since, before)
    gathering = yield from records.minutes_of(customer_id, event_name, since, before)
    sums = {state: sum(one.value for one in events if one.state == state) for state in ("delivered", "waiting", "dead")}
    return Told(sums["delivered"], sums["waiting"] + gathering, sums["dead"])


def begin_sending_batch(limit: int, unit: Unit) -> Work[list[MeterEvent]]:
    """Note that the oldest events are given to Stripe; those that may have been taken long ago are left out."""
    now = int(unit.now)
    waiting = yield from records.waiting_meter_events(0, "", limit)
    batch = [one for one in waiting if one.minute > now - OLDEST and (one.first_sent_at or now) > now - SURE_FOR]
    for event in batch:
        if event.first_sent_at is None:
            yield from records.note_sending(event.identifier, now)
    return batch
