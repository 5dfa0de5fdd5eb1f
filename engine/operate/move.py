"""Moving house: every row of one database into another, of the same kind or not, while nothing runs on either.

A batch and a bookmark of how far it goes are one transaction, so a move that was interrupted goes on from there.
At the end every table of both is counted and digested; the digest is a sum over the rows, so it does not depend
on how a database orders text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from interlock.engine.errors import BadConfiguration, InterlockError
from interlock.engine.operate.bulk import BOOKMARK, KEYS, Bulk, key_of, open_bulk

MoveProgress: TypeAlias = Callable[[str, str, int, int], None]
"""Called with what is done (`copying` or `checking`), the table, the rows done and the rows in all."""
PAGE: Final = 2_000


class MoveFailed(InterlockError):
    """The two databases do not hold the same; the text says where."""


class Moved(Struct, frozen=True):
    """One table that both databases now hold: how many rows, and their digest."""

    table: str
    rows: int
    digest: str


class MoveReport(Struct, frozen=True):
    """What was moved.  `copied` counts this run's rows: fewer than all after an interruption, 0 when repeated."""

    tables: list[Moved]
    copied: int


class _Bookmark(Struct):
    source: str
    table: str
    after: Any


async def move(
    source_url: str, target_url: str, on_progress: MoveProgress = lambda doing, table, done, total: None
) -> MoveReport:
    """Copy a database to another and check it.  Stop every service on both before.

    Raises BadConfiguration where one can't be used (in use, or a target with other data in it), and MoveFailed
    where in the end they differ.
    """
    if source_url == target_url:
        raise BadConfiguration("--from and --to are the same database")
    source = await open_bulk(source_url, exists=True)
    try:
        target = await open_bulk(target_url, exists=False)
        try:
            copied = await _copy(source, target, _fingerprint(source_url), on_progress)
            tables = await _check(source, target, on_progress, fresh=copied is None)
            await target.finish()
            return MoveReport(tables, copied or 0)
        finally:
            await target.close()
    finally:
        await source.close()


def _fingerprint(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


async def _copy(source: Bulk, target: Bulk, fingerprint: str, on_progress: MoveProgress) -> int | None:
    """Copy what is not there yet; returns how many rows, None where the target was full without a bookmark."""
    begin = await _where_to_begin(target, fingerprint)
    if begin is None:
        return None
    copied, passed = 0, False
    for table in KEYS:
        passed = passed or table == begin.table
        if not passed:
            continue
        after = begin.after if table == begin.table else None
        columns, total = await _same_columns(source, target, table), await source.count(table)
        done = await target.count(table)
        on_progress("copying", table, done, total)
        while rows := await source.page(table, columns, after, PAGE):
            after = key_of(table, columns, rows[-1])
            kept = [row for row in rows if not (table == "memo" and row[columns.index("name")] == BOOKMARK)]
            bookmark = msgspec.json.encode(_Bookmark(fingerprint, table, after)).decode()
            await target.put(table, columns, kept, bookmark)
            copied += len(kept)
            done += len(kept)
            on_progress("copying", table, done, total)
    return copied


async def _where_to_begin(target: Bulk, fingerprint: str) -> _Bookmark | None:
    text = await target.bookmark()
    if text is None:
        full = any([await target.count(table) for table in KEYS])
        return None if full else _Bookmark(fingerprint, next(iter(KEYS)), None)
    bookmark = msgspec.json.decode(text, type=_Bookmark)
    if bookmark.source != fingerprint:
        raise BadConfiguration("the target holds part of another database's move; empty it first")
    return bookmark


async def _same_columns(source: Bulk, target: Bulk, table: str) -> list[str]:
    """Both schemas were brought up to this program's, so they can only differ by somebody else's hand."""
    columns = await source.columns(table)
    if sorted(columns) != sorted(await target.columns(table)):
        raise BadConfiguration(f"the table {table} has other columns in the target")
    return columns


async def _check(source: Bulk, target: Bulk, on_progress: MoveProgress, *, fresh: bool) -> list[Moved]:
    tables: list[Moved] = []
    for table in KEYS:
        columns = await _same_columns(source, target, table)
        ours = await _digest(source, table, columns, on_progress)
        theirs = await _digest(target, table, columns, on_progress)
        if ours != theirs and fresh:
            raise BadConfiguration(f"the target holds other data already (table {table}); it must be empty")
        if ours != theirs:
            raise MoveFailed(
                f"the table {table} differs ({ours.rows} rows, {theirs.rows} in the target): the source changed "
                "while it was moved; empty the target and move again"
            )
        tables.append(ours)
    return tables


async def _digest(database: Bulk, table: str, columns: list[str], on_progress: MoveProgress) -> Moved:
    """Sum a digest of every row: the same rows have the same sum, in whatever order they come."""
    total = await database.count(table)
    encode = msgspec.msgpack.Encoder().encode
    after, done, digest = None, 0, 0
    while rows := await database.page(table, columns, after, PAGE):
        after = key_of(table, columns, rows[-1])
        for row in rows:
            if table == "memo" and row[columns.index("name")] == BOOKMARK:
                continue
            done += 1
            digest += int.from_bytes(hashlib.blake2b(encode(row), digest_size=16).digest())
        on_progress("checking", table, done, total)
    return Moved(table, done, f"{digest % 2**128:032x}")
