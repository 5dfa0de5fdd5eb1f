"""Writes a statement anew, so that one execution does it for many callers.

The arguments become arrays, and `unnest` makes a row of each caller's:

    SELECT …            SELECT many.n, found.* FROM unnest(…) AS many, LATERAL (SELECT …) AS found
    INSERT … VALUES     INSERT … SELECT … FROM unnest(…) AS many
    UPDATE, DELETE      … FROM (USING) unnest(…) AS many WHERE key = ANY (…) AND …

Two details keep PostgreSQL on the index: OFFSET 0, without which it may turn a SELECT into a join that reads a whole
table, and `= ANY`, without which it may walk through a whole index for an UPDATE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from interlock.engine.store.statements import BadStatement, Statement


def takes_many(statement: Statement) -> bool:
    """Whether one execution can do it for many: a read, or a write of one row that returns nothing."""
    is_read = statement.writes is None and bool(statement.parameters)
    return is_read or statement.may_wait


def for_many(statement: Statement, types: Sequence[str], before: int = 0) -> str:
    """Return the statement for arrays of arguments of these types; `$` is numbered from `before` + 1.

    What it selects comes after the caller's number, which counts from 1.
    """
    arrays = ", ".join(f"${before + n}::{name}[]" for n, name in enumerate(types, start=1))
    columns = ", ".join(f"a{n}" for n in range(1, len(types) + 1))
    many = f"unnest({arrays}) WITH ORDINALITY AS many ({columns}, n)"
    sql = re.sub(r"\$(\d+)", r"many.a\1", statement.postgres)
    if statement.writes is None:
        return f"SELECT many.n, found.* FROM {many}, LATERAL ({sql} OFFSET 0) AS found"
    if insert := re.fullmatch(r"(INSERT .*?)VALUES \(([^()]*)\)(.*)", sql, re.DOTALL):
        return f"{insert[1]}SELECT {insert[2]} FROM {many}{insert[3]}"
    key = f"many.a{statement.thing_at + 1}"
    if (change := re.fullmatch(r"(UPDATE|DELETE)(.*?)WHERE (.*)", sql, re.DOTALL)) and (
        column := re.search(rf"(\w+) = {key}\b", change[3])
    ):
        verb, word = change[1], "FROM" if change[1] == "UPDATE" else "USING"
        by_key = f"{column[1]} = ANY (${before + statement.thing_at + 1})"
        return f"{verb}{change[2]}{word} {many} WHERE {by_key} AND {change[3]}"
    raise BadStatement(f"{statement.name} has no form for many")


def locking_many(statement: Statement, types: Sequence[str], before: int = 0) -> str:
    """Return a locking read for many that says only how many rows it locked."""
    return f"SELECT count(*) FROM ({for_many(statement, types, before)}) AS locked"


def as_one(parts: Sequence[str]) -> str:
    """Write several statements as one, of which the last may return rows: each other one is a WITH of it."""
    *first, last = parts
    return "".join(f"{', ' if n else 'WITH '}w{n} AS ({sql}) " for n, sql in enumerate(first)) + last
