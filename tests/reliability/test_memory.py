"""The dicts that rows 3 and 6 run on say what SQLite says, statement for statement."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from typing import Any

from engine.store.sqlite import split
from engine.store.statements import SQLITE, migrations, statements
from tests.reliability.memory import STATEMENTS, TABLES, Tables, Violated
from tests.reliability.scale import Figure, first_seed, size

SQL = {name: sql.replace("$", "?") for name, sql in statements(SQLITE).items()}
UNORDERED = {"ask_claim", "subscription_users_of_customer", "users_due", "checkout_open"}
Maker = Callable[[random.Random], tuple[Any, ...]]


def _sub(rng: random.Random) -> str:
    return rng.choice(("sub_1", "sub_2", "sub_3"))


def _user(rng: random.Random) -> str | None:
    return rng.choice(("u_1", "u_2", "u_2", None))


def _customer(rng: random.Random) -> str:
    return rng.choice(("cus_1", "cus_2"))


def _event(rng: random.Random) -> str:
    return f"evt_{rng.randrange(6)}"


def _time(rng: random.Random) -> int:
    return rng.randrange(50)


def _maybe(rng: random.Random) -> int | None:
    return rng.choice((None, rng.randrange(50)))


def _outcome(rng: random.Random) -> str:
    return rng.choice(("applied", "pending", "unlinked", "stale"))


def _put_subscription(rng: random.Random) -> tuple[Any, ...]:
    state = rng.choice(("none", "active", "past_due", "canceled", "incomplete_expired"))
    facts = None if state == "none" and rng.random() < 0.9 else b"{}"
    unknown = rng.choice((None, "frozen"))
    return (
        _sub(rng),
        _customer(rng),
        _user(rng),
        state,
        _time(rng),
        _time(rng),
        _time(rng),
        _maybe(rng),
        unknown,
        facts,
    )


def _put_bill(rng: random.Random) -> tuple[Any, ...]:
    status = rng.choice(("open", "paid"))
    what = (rng.randrange(2), _maybe(rng), None, _maybe(rng), None, None, _time(rng))
    return (f"in_{rng.randrange(3)}", _sub(rng), _time(rng), status, *what)


def _insert_decision(rng: random.Random) -> tuple[Any, ...]:
    moved = rng.random() < 0.5
    way = ("activate", "none", "active") if moved else (None, None, None)
    return (
        _time(rng),
        rng.choice((None, _event(rng))),
        "t",
        "webhook",
        _user(rng),
        _sub(rng),
        *way,
        _outcome(rng),
        None,
    )


ARGUMENTS: dict[str, Maker] = {
    "event_seen": lambda r: (_event(r),),
    "event_insert": lambda r: (_event(r), "t", _time(r), _time(r), _sub(r), _customer(r), _outcome(r), b"x"),
    "event_outcome": lambda r: (_event(r), _outcome(r)),
    "event_pending_of": lambda r: (_sub(r),),
    "event_link": lambda r: (_sub(r),),
    "event_forget_payloads": lambda r: (_time(r),),
    "subscription_get": lambda r: (_sub(r),),
    "subscription_start": lambda r: (_sub(r),),
    "subscription_put": _put_subscription,
    "subscription_of_user": lambda r: (_user(r),),
    "subscription_of_customer": lambda r: (_customer(r),),
    "subscription_living": lambda r: (r.choice(("", "sub_1", "sub_2")), r.choice((1, 100))),
    "subscription_users_of_customer": lambda r: (_customer(r),),
    "subscription_peek": lambda r: (_sub(r),),
    "bill_get": lambda r: (f"in_{r.randrange(3)}",),
    "bill_put": _put_bill,
    "bill_owed_since": lambda r: (_sub(r),),
    "customer_get": lambda r: (_customer(r),),
    "customer_put": lambda r: (_customer(r), _user(r), _user(r), _time(r), r.randrange(2)),
    "customer_of_user": lambda r: (_user(r),),
    "customer_ids_of_user": lambda r: (_user(r),),
    "users_get": lambda r: (_user(r) or "u_1",),
    "users_lock": lambda r: (_user(r) or "u_1",),
    "users_ensure": lambda r: (_user(r) or "u_1",),
    "users_show": lambda r: (_user(r), _time(r), b"{}", _maybe(r), "digest", _time(r), _customer(r), _maybe(r)),
    "users_set_customer": lambda r: (_user(r), _customer(r)),
    "users_drop_customer": lambda r: (_customer(r),),
    "users_next_checkout": lambda r: (_user(r),),
    "users_due": lambda r: (_time(r),),
    "decision_insert": _insert_decision,
    "decision_link": lambda r: (_sub(r), _user(r) or "u_1"),
    "decision_page": lambda r: (_user(r), r.randrange(40), r.choice((2, 50))),
    "decision_way": lambda r: (_user(r),),
    "ask_put": lambda r: (_sub(r), _time(r)),
    "ask_claim": lambda r: (_time(r), _time(r), 8),
    "ask_next": lambda _: (),
    "ask_again": lambda r: (_sub(r), _time(r)),
    "ask_done": lambda r: (_sub(r),),
    "ask_free_leases": lambda _: (),
    "checkout_open": lambda r: (_user(r),),
    "checkout_all_open": lambda _: (),
    "checkout_put": lambda r: (f"cs_{r.randrange(4)}", _user(r) or "u_1", "pro", "https://x", _time(r)),
    "checkout_close": lambda r: (f"cs_{r.randrange(4)}", r.choice(("complete", "expired"))),
    "memo_get": lambda r: (r.choice("ab"),),
    "memo_put": lambda r: (r.choice("ab"), str(_time(r))),
}


def _sqlite() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in migrations(SQLITE):
        for sql in split(step.sql):
            connection.execute(sql)
    return connection


def _outcome_of(run: Callable[[], list[Any]], name: str) -> object:
    try:
        rows = [tuple(row) for row in run()]
    except (sqlite3.IntegrityError, Violated):
        return "refused"
    return sorted(rows, key=repr) if name in UNORDERED else rows


def _difference(seed: int, steps: int) -> str | None:
    """Run one random sequence on both; return what they differ in."""
    rng = random.Random(seed)
    connection, tables = _sqlite(), Tables()
    try:
        for step in range(steps):
            name = rng.choice(sorted(ARGUMENTS))
            arguments = ARGUMENTS[name](rng)
            theirs = _outcome_of(lambda n=name, a=arguments: connection.execute(SQL[n], a).fetchall(), name)
            ours = _outcome_of(lambda n=name, a=arguments: list(tables.execute(n, a)), name)
            if theirs != ours:
                return f"step {step}: {name}{arguments}: SQLite {theirs}, dicts {ours}"
        for table in TABLES:
            stored = {row[0]: tuple(row[1:]) for row in connection.execute(f"SELECT * FROM {table}")}
            if stored != tables.rows[table]:
                return f"{table}: SQLite {stored}, dicts {tables.rows[table]}"
    finally:
        connection.close()
    return None


def test_dicts_say_what_sqlite_says(figure: Figure) -> None:
    """Random sequences of every statement leave both with the same rows, answers and refusals."""
    assert set(STATEMENTS) == set(ARGUMENTS), "each statement on dicts is checked here"
    assert set(STATEMENTS) <= set(SQL), "and each is one of the engine's"
    sequences = size("MEMORY_SEQUENCES", 150, 20_000)
    for seed in range(first_seed(), first_seed() + sequences):
        assert (found := _difference(seed, 150)) is None, f"seed {seed}: {found}"
    figure(3, f"the store on dicts equals SQLite over {sequences} random sequences of {len(ARGUMENTS)} statements")
