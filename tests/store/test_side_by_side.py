"""In lockstep or one after another, in the order in which the units end: the database says the same afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Generator
from typing import Any, Final

import msgspec
import pytest

from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.core.states import Outcome
from interlock.engine.errors import BadEvent
from interlock.engine.flow.runner import about, whole
from interlock.engine.store import Store, Work
from interlock.engine.store.lockstep import NotTogether
from interlock.engine.store.sqlite.batch import drive, run_together
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import Reading, take, take_answer
from interlock.engine.wire import objects as wire
from interlock.engine.wire.events import read
from interlock.engine.wire.reading import facts_of
from tests.kit.bodies import T0, Life, Sub, body_of, customer, event, session
from tests.reliability.lite import connect, table
from tests.store.conftest import PLANS, Database

pytestmark = pytest.mark.anyio

WORLDS: Final = 60
"""Seeds on SQLite, some 4,000 events; 3,000 seeds were run when this was written."""
ON_POSTGRESQL: Final = 6
CATALOGUE: Final = read_catalogue(PLANS)


def _all_of(name: str) -> str:
    """Read a table's columns in the order that it has on SQLite."""
    with contextlib.closing(connect()) as connection:
        columns = [str(row[0]) for row in table(connection, "SELECT name FROM pragma_table_info($1)", name)]
    return f"SELECT {', '.join(columns)} FROM {name}"


TABLES: Final = {
    "customer": _all_of("customer"),
    "subscription": _all_of("subscription"),
    "bill": _all_of("bill"),
    "users": "SELECT user_id, shown, shown_until, catalogue, customer_id, checkout_serial, trial_used_at FROM users",
    "event": "SELECT event_id, type, created, subscription_id, customer_id, outcome FROM event",
    "decision": "SELECT event_id, event_type, source, user_id, subscription_id, fired, from_state, to_state, outcome, "
    "guard FROM decision ORDER BY seq",
    "queue": "SELECT key, kind, name, due_at FROM queue",
}
Made = tuple[tuple[str, ...], Callable[[], Work[Any]]]
"""What a unit is about, and the unit."""


def world(seed: int) -> list[Made]:
    """Events of a few subscriptions of fewer customers and users, doubled and shuffled, and answers among them."""
    rng = random.Random(seed)
    users, customers = [f"u_{n}" for n in range(rng.randint(1, 4))], [f"cus_{n}" for n in range(rng.randint(1, 5))]
    told: list[Any] = []
    lives: list[Life] = []
    for number in range(rng.randint(1, 8)):
        named = rng.choice(users) if rng.random() < 0.6 else None
        sub = Sub(id=f"sub_{number}", customer=rng.choice(customers), user=named, latest_invoice=f"in_{number}",
                  status=rng.choice(["trialing", "active", "incomplete"]), trial_end=T0 + 500)  # fmt: skip
        life = Life(sub)
        life.create()
        for step in range(rng.randint(0, 5)):
            at = T0 + 100 * step + rng.randint(0, 60)
            if rng.random() < 0.3:
                life.bill(*rng.choice([("paid", at), ("payment_failed", at)]), status=rng.choice(["open", "paid"]))
            else:
                life.update(at, status=rng.choice(["active", "past_due", "unpaid"]))
        if rng.random() < 0.3:
            life.end(T0 + 1_000)
        lives.append(life)
        told += life.told
    for _ in range(rng.randint(0, 4)):
        user = rng.choice([*users, None])
        what = rng.choice(["created", "updated", "deleted"])
        told.append(
            event(f"customer.{what}", customer(rng.choice(customers), user=user), created=T0 + rng.randint(0, 9))
        )
    for number in range(rng.randint(0, 2)):
        done = session(id=f"cs_{number}", customer=rng.choice(customers), user=rng.choice(users),
                       subscription=rng.choice(lives).sub.id)  # fmt: skip
        told.append(event("checkout.session.completed", done, created=T0 + 5))
    for number, one in enumerate(told):
        one["id"] = f"evt_{number}"
    told += rng.sample(told, len(told) // 3)
    rng.shuffle(told)
    made = [_webhook(body_of(one)) for one in told]
    for life in lives:
        made.insert(rng.randrange(len(made)), _answer(life, rng.randint(0, 4)))
    return made


def _whole(work: Callable[[Unit], Work[Any]]) -> Work[Any]:
    """A unit with its end, as the runner runs it."""
    unit = Unit(now=float(T0 + 10_000), catalogue=CATALOGUE, livemode=False)
    return whole(unit, work(unit))


def _webhook(body: bytes) -> Made:
    told = read(body)
    return about(told), lambda: _whole(lambda unit: take(told, body, unit))


def _answer(life: Life, evidence: int) -> Made:
    facts = facts_of(msgspec.convert(life.sub.json(), wire.Subscription))
    reading = Reading(subscription_id=life.sub.id, facts=facts, date=T0 + 9_000, evidence_at_ask=evidence)
    return (life.sub.customer, life.sub.user or "u_0"), lambda: _whole(lambda unit: take_answer(reading, unit))


def _ending(work: Work[Any], number: int, ends: list[int]) -> Work[Any]:
    result = yield from work
    ends.append(number)
    return result


def _compared(name: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows in one order: of the ledger each subscription's as they were written, of the others by their keys.

    Two counters of a user are left out: `version` rises when what is shown changes, `customer_serial` when a customer
    is taken away.  Where two units change a user at once, one may already see what the other stored, so that they
    rise once more or less; between the two nobody could look.
    """
    if name == "decision":
        return sorted(rows, key=lambda row: (row[3] or "", row[4] or ""))
    if name == "users":
        rows = [tuple(_undated(cell) if isinstance(cell, bytes) else cell for cell in row) for row in rows]
    return sorted(rows, key=lambda row: row[0])


def _undated(shown: bytes) -> Any:
    return {key: value for key, value in msgspec.json.decode(shown).items() if key not in ("version", "updated_at")}


def one_by_one(made: list[Made], order: list[int]) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables say after the units in this order, each in a transaction of its own."""
    with contextlib.closing(connect()) as connection:
        for number in order:
            with _transaction(connection):
                drive(connection, made[number][1]())
        return {name: _compared(name, table(connection, sql)) for name, sql in TABLES.items()}


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@pytest.mark.parametrize("seed", range(WORLDS))
def test_on_sqlite_a_batch_is_its_units_one_after_another(seed: int) -> None:
    """Whatever collides in a batch, each table is as if nothing had run side by side."""
    made, rng = world(seed), random.Random(seed)
    order: list[int] = []
    waiting = list(range(len(made)))
    with contextlib.closing(connect()) as connection:
        while waiting:
            batch = [waiting.pop(0) for _ in range(min(len(waiting), rng.randint(1, 16)))]
            ends: list[int] = []
            units = [_ending(made[number][1](), number, ends) for number in batch]
            try:
                with _transaction(connection):
                    run_together(connection, units, [made[number][0] for number in batch])
            except NotTogether:
                ends = list(batch)
                for number in batch:
                    with _transaction(connection):
                        drive(connection, made[number][1]())
            order += ends
        found = {name: _compared(name, table(connection, sql)) for name, sql in TABLES.items()}
    assert found == one_by_one(made, order)


@pytest.mark.parametrize("seed", range(ON_POSTGRESQL))
async def test_on_postgresql_a_crowd_is_its_units_one_after_another(postgres: Database, seed: int) -> None:
    """The same on the other database, which has another driver: SQLite, one by one, says what must be there."""
    made = [one for more in range(4) for one in world(1_000 * seed + more)]
    ends: list[int] = []

    async def send(store: Store, number: int) -> None:
        named, work = made[number]
        await store.write(lambda: _ending(work(), number, ends), about=named)

    async with postgres.open() as store:
        for begin in range(0, len(made), 24):
            await asyncio.gather(*(send(store, number) for number in range(begin, min(begin + 24, len(made)))))
    order = [number for at, number in enumerate(ends) if number not in ends[at + 1 :]]
    expected = one_by_one(made, order)
    for name, sql in TABLES.items():
        assert _compared(name, await postgres.look(sql)) == expected[name], name


async def test_one_bad_unit_fails_alone(database: Database) -> None:
    """It undoes its batch, and each of the others is done all the same, once."""
    made = world(5)

    def bad() -> Work[Outcome]:
        yield from made[0][1]()
        raise BadEvent("a fault of its own")

    async with database.open() as store:
        jobs = [store.write(work, about=named) for named, work in made]
        jobs.insert(len(jobs) // 2, store.write(bad, about=("cus_0",)))
        results = await asyncio.gather(*jobs, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    assert [type(error) for error in failed] == [BadEvent]
    (events,) = await database.look("SELECT count(*) FROM event")
    assert events == (len(set(await database.look("SELECT event_id FROM event"))),)
