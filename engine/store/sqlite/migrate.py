"""Brings the schema of a SQLite file up to this program's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from interlock.engine.store.sqlite.locks import Locks
from interlock.engine.store.statements import SQLITE, check_schema, migrations


def migrate(connection: sqlite3.Connection, locks: Locks) -> None:
    """Bring the schema up to this program's; refuse a database that a newer program has changed."""
    with locks.writing():
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_step (number integer PRIMARY KEY, name text, checksum text) STRICT"
            )
            applied = dict(connection.execute("SELECT number, checksum FROM schema_step").fetchall())
            steps = migrations(SQLITE)
            check_schema(applied, {step.number: step.checksum for step in steps})
            for step in steps:
                if step.number not in applied:
                    for statement in split(step.sql):
                        connection.execute(statement)
                    arguments = (step.number, step.name, step.checksum)
                    connection.execute("INSERT INTO schema_step VALUES (?, ?, ?)", arguments)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def split(sql: str) -> Iterator[str]:
    """Yield the statements of a migration; none of ours holds a semicolon inside."""
    without_comments = "\n".join(line.partition("--")[0] for line in sql.splitlines())
    yield from (part.strip() for part in without_comments.split(";") if part.strip())
