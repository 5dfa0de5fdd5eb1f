"""The named statements of `engine/store/statements.sql`, run on Python dicts that can be copied in microseconds.

The exploration of row 3 and the simulation of row 6 run the engine's real units of work on this.  It knows tables
and statements, no rule of the engine's; `test_memory.py` checks it against SQLite over random sequences.
Foreign keys are left to the real databases (row 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from engine.store import Row, Work

T = TypeVar("T")
Values = tuple[Any, ...]
ENDED = ("canceled", "incomplete_expired")
STATES = ("none", "incomplete", "trialing", "active", "past_due", "unpaid", "paused", *ENDED)
TABLES = ("event", "subscription", "bill", "customer", "users", "decision", "ask", "checkout", "memo")


class Violated(Exception):
    """A constraint of the schema does not hold."""


class Tables:
    """All rows by table and key.  Rows are tuples, in the order of the schema's columns without the key."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Any, Values]] = {name: {} for name in TABLES}

    def copy(self) -> Tables:
        """Return a copy; rows are shared, they never change."""
        other = Tables()
        other.rows = {name: rows.copy() for name, rows in self.rows.items()}
        return other

    def execute(self, name: str, arguments: Values) -> list[Row]:
        """Run one named statement."""
        return list(STATEMENTS[name](self.rows, *arguments))

    def run(self, work: Work[T]) -> T:
        """Run a unit of work, whole or not at all."""
        before = {name: rows.copy() for name, rows in self.rows.items()}
        try:
            name, arguments = next(work)
            while True:
                name, arguments = work.send(self.execute(name, arguments))
        except StopIteration as end:
            return end.value
        except BaseException:
            self.rows = before
            raise


Rows = dict[str, dict[Any, Values]]
STATEMENTS: dict[str, Callable[..., Iterable[Row]]] = {}


def statement(function: Callable[..., Iterable[Row]]) -> Callable[..., Iterable[Row]]:
    """Enter a function under its name."""
    STATEMENTS[function.__name__] = function
    return function


def set_column(rows: dict[Any, Values], key: Any, column: int, value: Any) -> None:
    """Change one column of a row."""
    row = rows[key]
    rows[key] = (*row[:column], value, *row[column + 1 :])


# --- events: type, created, received_at, subscription_id, customer_id, outcome, payload ------------------


@statement
def event_seen(t: Rows, event_id: str) -> Iterable[Row]:
    return [(1,)] if event_id in t["event"] else []


@statement
def event_insert(t: Rows, event_id: str, *row: Any) -> Iterable[Row]:
    if event_id in t["event"]:
        raise Violated("event.event_id")
    if row[5] == "duplicate":
        raise Violated("event.outcome")
    t["event"][event_id] = row
    return []


@statement
def event_outcome(t: Rows, event_id: str, outcome: str) -> Iterable[Row]:
    if event_id in t["event"]:
        set_column(t["event"], event_id, 5, outcome)
    return []


@statement
def event_pending_of(t: Rows, subscription_id: str) -> Iterable[Row]:
    found = [
        (row[1], row[2], key) for key, row in t["event"].items() if row[3] == subscription_id and row[5] == "pending"
    ]
    return [(key, t["event"][key][0]) for *_, key in sorted(found, reverse=True)]


@statement
def event_link(t: Rows, subscription_id: str) -> Iterable[Row]:
    for key, row in list(t["event"].items()):
        if row[3] == subscription_id and row[5] == "unlinked":
            set_column(t["event"], key, 5, "applied")
    return []


@statement
def event_forget_payloads(t: Rows, before: int) -> Iterable[Row]:
    for key, row in list(t["event"].items()):
        if row[6] is not None and row[2] < before and row[5] not in ("pending", "failed"):
            set_column(t["event"], key, 6, None)
    return []


# --- subscriptions: customer_id, user_id, state, as_of, evidence, since, unpaid_since, unknown_status, facts


@statement
def subscription_get(t: Rows, subscription_id: str) -> Iterable[Row]:
    row = t["subscription"].get(subscription_id)
    return [] if row is None else [(row[8], row[3], row[4], row[5], row[6], row[7], row[1])]


@statement
def subscription_start(t: Rows, subscription_id: str) -> Iterable[Row]:
    t["subscription"].setdefault(subscription_id, (None, None, "none", 0, 0, 0, None, None, None))
    return []


@statement
def subscription_put(t: Rows, subscription_id: str, *row: Any) -> Iterable[Row]:
    if (row[2] == "none") != (row[8] is None) or row[2] not in STATES or row[4] < 0:
        raise Violated("subscription")
    known = t["subscription"].get(subscription_id)
    if known is None or known[2] not in ENDED or known[2] == row[2]:
        t["subscription"][subscription_id] = row
    return []


@statement
def subscription_of_user(t: Rows, user_id: str | None) -> Iterable[Row]:
    found = sorted((key, row) for key, row in t["subscription"].items() if user_id is not None and row[1] == user_id)
    return [(key, row[8], row[3], row[4], row[5], row[6], row[7]) for key, row in found]


@statement
def subscription_of_customer(t: Rows, customer_id: str | None) -> Iterable[Row]:
    found = [
        (key, row[2]) for key, row in t["subscription"].items() if customer_id is not None and row[0] == customer_id
    ]
    return sorted(found)


@statement
def subscription_living(t: Rows, after: str, limit: int) -> Iterable[Row]:
    found = [(key, row[8], row[1]) for key, row in t["subscription"].items() if key > after and row[2] not in ENDED]
    return sorted(found, key=lambda row: row[0])[:limit]


@statement
def subscription_users_of_customer(t: Rows, customer_id: str | None) -> Iterable[Row]:
    users = {row[1] for row in t["subscription"].values() if customer_id is not None and row[0] == customer_id}
    return [(user,) for user in users]


@statement
def subscription_peek(t: Rows, subscription_id: str) -> Iterable[Row]:
    row = t["subscription"].get(subscription_id)
    return [] if row is None else [(row[8], row[1])]


# --- bills: subscription_id, created, status, attempt_count, failed_at, failure_code, finalized_at, … ----


@statement
def bill_get(t: Rows, invoice_id: str) -> Iterable[Row]:
    return [t["bill"][invoice_id]] if invoice_id in t["bill"] else []


@statement
def bill_put(t: Rows, invoice_id: str, *row: Any) -> Iterable[Row]:
    if row[3] < 0:
        raise Violated("bill.attempt_count")
    known = t["bill"].get(invoice_id)
    t["bill"][invoice_id] = row if known is None else (*known[:2], *row[2:])
    return []


@statement
def bill_owed_since(t: Rows, subscription_id: str) -> Iterable[Row]:
    times = [
        row[4] if row[4] is not None else (row[6] if row[3] > 0 else None)
        for row in t["bill"].values()
        if row[0] == subscription_id and row[2] == "open"
    ]
    return [(min((at for at in times if at is not None), default=None),)]


# --- customers: user_id, checkout_user_id, as_of, deleted ------------------------------------------------


@statement
def customer_get(t: Rows, customer_id: str) -> Iterable[Row]:
    return [t["customer"][customer_id]] if customer_id in t["customer"] else []


@statement
def customer_put(t: Rows, customer_id: str, *row: Any) -> Iterable[Row]:
    t["customer"][customer_id] = row
    return []


@statement
def customer_of_user(t: Rows, user_id: str | None) -> Iterable[Row]:
    return sorted(
        (key,)
        for key, row in t["customer"].items()
        if (row[0] == user_id or (row[0] is None and row[1] == user_id)) and row[3] == 0 and user_id is not None
    )


@statement
def customer_ids_of_user(t: Rows, user_id: str | None) -> Iterable[Row]:
    return sorted((key,) for key, row in t["customer"].items() if user_id is not None and user_id in row[:2])


# --- users: customer_id, customer_serial, checkout_serial, trial_used_at, version, shown, shown_until, … --


@statement
def users_get(t: Rows, user_id: str) -> Iterable[Row]:
    row = t["users"].get(user_id)
    return [] if row is None else [(*row[4:9], *row[:4])]


@statement
def users_lock(t: Rows, user_id: str) -> Iterable[Row]:
    return list(users_get(t, user_id))


@statement
def users_ensure(t: Rows, user_id: str) -> Iterable[Row]:
    t["users"].setdefault(user_id, (None, 0, 0, None, 0, None, None, None, 0))
    return []


@statement
def users_show(t: Rows, user_id: str, *new: Any) -> Iterable[Row]:
    if user_id in t["users"]:
        version, shown, until, catalogue, updated_at, customer_id, trial_used_at = new
        _, *serials = t["users"][user_id][:3]
        row = (customer_id, *serials, trial_used_at, version, shown, until, catalogue, updated_at)
        t["users"][user_id] = row
    return []


@statement
def users_set_customer(t: Rows, user_id: str, customer_id: str) -> Iterable[Row]:
    if user_id in t["users"]:
        set_column(t["users"], user_id, 0, customer_id)
    return []


@statement
def users_drop_customer(t: Rows, customer_id: str | None) -> Iterable[Row]:
    for key, row in list(t["users"].items()):
        if customer_id is not None and row[0] == customer_id:
            t["users"][key] = (None, row[1] + 1, *row[2:])
    return []


@statement
def users_next_checkout(t: Rows, user_id: str) -> Iterable[Row]:
    if user_id in t["users"]:
        set_column(t["users"], user_id, 2, t["users"][user_id][2] + 1)
    return []


@statement
def users_due(t: Rows, now: int) -> Iterable[Row]:
    due = [(row[6], key) for key, row in t["users"].items() if row[6] is not None and row[6] <= now]
    return [(key,) for _, key in sorted(due)[:100]]


# --- decisions: at, event_id, event_type, source, user_id, subscription_id, fired, from, to, outcome, guard


@statement
def decision_insert(t: Rows, *row: Any) -> Iterable[Row]:
    if (
        row[1] is not None
        and row[9] == "applied"
        and any(r[1] == row[1] and r[9] == "applied" for r in t["decision"].values())
    ):
        raise Violated("decision_applied_once")
    t["decision"][len(t["decision"]) + 1] = row
    return []


@statement
def decision_link(t: Rows, subscription_id: str | None, user_id: str) -> Iterable[Row]:
    for key, row in list(t["decision"].items()):
        if subscription_id is not None and row[5] == subscription_id and row[4] is None:
            set_column(t["decision"], key, 4, user_id)
    return []


@statement
def decision_page(t: Rows, user_id: str | None, before: int, limit: int) -> Iterable[Row]:
    found = [
        (seq, *row[:4], *row[6:])
        for seq, row in t["decision"].items()
        if user_id is not None and row[4] == user_id and seq < before
    ]
    return sorted(found, key=lambda row: -row[0])[:limit]


@statement
def decision_way(t: Rows, user_id: str | None) -> Iterable[Row]:
    found = [
        (seq, row[5], row[7], row[8])
        for seq, row in t["decision"].items()
        if user_id is not None and row[4] == user_id and row[9] == "applied" and row[7] is not None
    ]
    return [row[1:] for row in sorted(found, key=lambda row: -row[0])[:100]]


# --- questions: due_at, lease_until, attempts ------------------------------------------------------------


@statement
def ask_put(t: Rows, subscription_id: str, due_at: int) -> Iterable[Row]:
    due, lease, attempts = t["ask"].get(subscription_id, (due_at, 0, 0))
    t["ask"][subscription_id] = (min(due, due_at), lease, attempts)
    return []


@statement
def ask_claim(t: Rows, now: int, lease_until: int, limit: int) -> Iterable[Row]:
    due = [(row[0], key) for key, row in t["ask"].items() if row[0] <= now and row[1] <= now]
    claimed = [key for _, key in sorted(due)[:limit]]
    for key in claimed:
        t["ask"][key] = (t["ask"][key][0], lease_until, t["ask"][key][2] + 1)
    return [(key, t["ask"][key][2]) for key in claimed]


@statement
def ask_next(t: Rows) -> Iterable[Row]:
    return [(min((max(row[0], row[1]) for row in t["ask"].values()), default=None), len(t["ask"]))]


@statement
def ask_again(t: Rows, subscription_id: str, due_at: int) -> Iterable[Row]:
    if subscription_id in t["ask"]:
        t["ask"][subscription_id] = (due_at, 0, t["ask"][subscription_id][2])
    return []


@statement
def ask_done(t: Rows, subscription_id: str) -> Iterable[Row]:
    t["ask"].pop(subscription_id, None)
    return []


@statement
def ask_free_leases(t: Rows) -> Iterable[Row]:
    for key in t["ask"]:
        set_column(t["ask"], key, 1, 0)
    return []


# --- checkouts: user_id, intent, url, expires_at, status; memo: value ------------------------------------


@statement
def checkout_open(t: Rows, user_id: str) -> Iterable[Row]:
    return [(key, *row[1:4]) for key, row in t["checkout"].items() if row[0] == user_id and row[4] == "open"]


@statement
def checkout_all_open(t: Rows) -> Iterable[Row]:
    return sorted((key,) for key, row in t["checkout"].items() if row[4] == "open")


@statement
def checkout_put(t: Rows, session_id: str, *row: Any) -> Iterable[Row]:
    if session_id not in t["checkout"]:
        if any(other[0] == row[0] and other[4] == "open" for other in t["checkout"].values()):
            raise Violated("checkout_one_open")
        t["checkout"][session_id] = (*row, "open")
    return []


@statement
def checkout_close(t: Rows, session_id: str, status: str) -> Iterable[Row]:
    row = t["checkout"].get(session_id)
    if row is None or row[4] != "open":
        return []
    set_column(t["checkout"], session_id, 4, status)
    return [(row[0],)]


@statement
def memo_get(t: Rows, name: str) -> Iterable[Row]:
    return [t["memo"][name]] if name in t["memo"] else []


@statement
def memo_put(t: Rows, name: str, value: str) -> Iterable[Row]:
    t["memo"][name] = (value,)
    return []
