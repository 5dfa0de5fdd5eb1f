"""What Stripe's meters are to be told, as it is stored: minutes that gather, and events that are sent."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from interlock.engine.store import Work
from interlock.engine.store.statements import STATEMENTS

_S: Final = STATEMENTS


class Minute(Struct, frozen=True):
    """What one customer used of one meter in a minute; `minute` is its first second."""

    customer_id: str
    event_name: str
    minute: int
    value: int


class MeterEvent(Struct, frozen=True):
    """One meter event, stored before it is sent under its `identifier`, the same for ever.

    `state`: `waiting`, `delivered`, or `dead` (given up; `why` says why).  `first_sent_at`: when it was first given
    to Stripe, None before.  `late`: it was delivered when the invoice of its period was closed already.
    """

    identifier: str
    customer_id: str
    event_name: str
    minute: int
    value: int
    state: str = "waiting"
    first_sent_at: int | None = None
    settled_at: int | None = None
    late: int = 0
    why: str | None = None


def add_to_minute(customer_id: str, event_name: str, minute: int, value: int) -> Work[None]:
    """Add to what a customer used of a meter in a minute."""
    yield _S["meter_minute_add"](customer_id=customer_id, event_name=event_name, minute=minute, value=value)


def take_minutes(before: int) -> Work[list[Minute]]:
    """Take out the oldest minutes that began before a time, at most 200."""
    taken: list[Minute] = []
    for key in (yield _S["meter_minute_oldest"], (before,)):
        rows = yield _S["meter_minute_close"], tuple(key)
        taken += [Minute(*row) for row in rows]  # none where somebody else has just taken it
    return taken


def take_minutes_of(customer_id: str) -> Work[list[Minute]]:
    """Take out all minutes of a customer, the present one too."""
    return [Minute(*row) for row in (yield _S["meter_minute_close_customer"], (customer_id,))]


def minutes_of(customer_id: str, event_name: str, since: int, before: int) -> Work[int]:
    """Read how much of a customer and meter is in no event yet, from a time on, before another."""
    rows = yield _S["meter_minute_waiting"](customer_id=customer_id, event_name=event_name, since=since, before=before)
    return sum(row[1] for row in rows)


def add_meter_event(identifier: str, one: Minute) -> Work[None]:
    """Store an event that is to be sent."""
    yield _S["meter_event_add"](
        identifier=identifier,
        customer_id=one.customer_id,
        event_name=one.event_name,
        minute=one.minute,
        value=one.value,
    )


def meter_event(identifier: str) -> Work[MeterEvent | None]:
    """Read one event and lock it, where the database locks rows."""
    rows = yield _S["meter_event_get"], (identifier,)
    return MeterEvent(*rows[0]) if rows else None


def meter_events_of(customer_id: str, event_name: str, since: int, before: int) -> Work[list[MeterEvent]]:
    """Read the events of a customer and meter, from a time on, before another."""
    rows = yield _S["meter_events_of"](customer_id=customer_id, event_name=event_name, since=since, before=before)
    return [MeterEvent(*row) for row in rows]


def note_sending(identifier: str, at: int | None) -> Work[None]:
    """Note when an event is first given to Stripe; None: what was given before did not arrive."""
    yield _S["meter_event_sending"](identifier=identifier, at=at)


def settle_meter_event(identifier: str, state: str, at: int, why: str | None, *, late: bool = False) -> Work[None]:
    """Note what became of an event."""
    yield _S["meter_event_settle"](identifier=identifier, state=state, at=at, why=why, late=int(late))


def dead_meter_events(before: int, limit: int) -> Work[list[MeterEvent]]:
    """Read the events that were given up until a time, the newest first."""
    return [MeterEvent(*row) for row in (yield _S["meter_events_dead"], (before, limit))]


def open_meter_events() -> Work[tuple[int, int]]:
    """Read how many events wait to be sent, and the minute of the oldest."""
    rows = yield _S["meter_events_open"], ()
    return rows[0][0], rows[0][1]


def forget_meter_events(before: int) -> Work[int]:
    """Forget the oldest events that were delivered before a time, at most 500; returns how many."""
    return len((yield _S["meter_event_forget"], (before,)))


def waiting_meter_events(after: int, after_identifier: str, limit: int) -> Work[list[MeterEvent]]:
    """Read a page of the events that wait, the oldest first, after one by its minute and identifier."""
    rows = yield _S["meter_events_waiting"](after=after, after_identifier=after_identifier, limit=limit)
    return [MeterEvent(*row) for row in rows]
