"""No statement on a webhook's or a reader's way looks through a whole table, however large it grew."""

from __future__ import annotations

import re

import pytest

from engine.store.postgres_link import PLANS
from engine.store.statements import POSTGRES, SQLITE, statements
from tests.store.conftest import Database
from tests.tools.fill import fill
from tests.tools.postgres import connect

pytestmark = pytest.mark.anyio

RARE = {
    "ask_next": "counts what is to be asked; that table is as long as the questions that are open",
    "ask_free_leases": "once, when a service on SQLite starts",
    "checkout_all_open": "once a sweep, over the open sessions",
}
"""Statements that look through a whole table or index, and why they may."""


async def plans(database: Database) -> dict[str, str]:
    """Return every statement's plan, on a database with enough rows that a plan matters."""
    await fill(database.url, 2_000)
    words = SQLITE if database.kind == "sqlite" else POSTGRES
    found: dict[str, str] = {}
    connection = await connect(database.url, server_settings=PLANS) if database.kind == "postgresql" else None
    for name, sql in statements(words).items():
        arguments = max((int(number) for number in re.findall(r"\$(\d+)", sql)), default=0)
        if connection is None:
            rows = await database.look(f"EXPLAIN QUERY PLAN {sql}", *[None] * arguments)
            found[name] = "\n".join(str(row[3]) for row in rows)
        else:
            await connection.execute(f"PREPARE {name} AS {sql}")
            given = f"({', '.join(['NULL'] * arguments)})" if arguments else ""
            rows = await connection.fetch(f"EXPLAIN EXECUTE {name}{given}")
            found[name] = "\n".join(str(row[0]) for row in rows)
    if connection is not None:
        await connection.close()
    return found


async def test_no_statement_scans_a_table(database: Database) -> None:
    """Each finds its rows by a key or an index, by the plan that our own connections get."""
    scans = {
        name: plan
        for name, plan in (await plans(database)).items()
        if name not in RARE
        and (re.search(r"Seq Scan on (subscription|customer|users|event|bill|decision)\b", plan)
             or re.search(r"^SCAN (?!CONSTANT|due\b)(?!.*USING (COVERING )?INDEX)", plan, re.MULTILINE))
    }  # fmt: skip
    assert scans == {}
