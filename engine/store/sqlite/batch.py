"""Runs the units of work of a batch on a SQLite connection, in that connection's thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from interlock.engine.errors import StoreUnavailable
from interlock.engine.store import Work
from interlock.engine.store.lockstep import Answers, Round, lockstep
from interlock.engine.store.sqlite.locks import Locks, NotBegun

T = TypeVar("T")


class Job(NamedTuple, Generic[T]):
    """A unit of work that waits, what it is about, and its caller's future."""

    work: Callable[[], Work[T]]
    about: tuple[str, ...]
    done: asyncio.Future[T]


def settle(jobs: Sequence[Job[Any]], results: Sequence[Any]) -> None:
    """Give each caller that still waits the result of its job; an exception among the results is raised there."""
    for job, result in zip(jobs, results, strict=True):
        if job.done.done():
            continue
        if isinstance(result, sqlite3.Error):
            cause, result = result, StoreUnavailable(str(result))
            result.__cause__ = cause
        if isinstance(result, Exception):
            job.done.set_exception(result)
        else:
            job.done.set_result(result)


def read_batch(connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> list[Any]:
    """Read for each job what is committed when its turn comes; an exception in the list is that job's own."""
    results: list[Any] = []
    for job in jobs:
        try:
            results.append(drive(connection, job.work()))
        except Exception as error:
            results.append(error)
    return results


def commit_batch(connection: sqlite3.Connection, locks: Locks, jobs: Sequence[Job[Any]]) -> list[Any]:
    """Commit a batch; an exception in the list is that job's own failure.

    All go through one transaction.  Where one fails the batch leaves nothing, and each has one of its own.
    Raises sqlite3.Error when no transaction can be begun.
    """
    try:
        return _transact(connection, locks, jobs)
    except NotBegun as error:
        raise error.cause from None
    except Exception as error:
        if len(jobs) == 1:
            return [error]
    results: list[Any] = []
    for job in jobs:
        try:
            results += _transact(connection, locks, [job])
        except NotBegun as error:
            return results + [error.cause] * (len(jobs) - len(results))
        except Exception as error:
            results.append(error)
    return results


def _transact(connection: sqlite3.Connection, locks: Locks, jobs: Sequence[Job[Any]]) -> list[Any]:
    with locks.writing():
        try:
            if connection.in_transaction:  # one that a failing disk did not even let roll back
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise NotBegun(error) from error
        try:
            results = [result for together in _companies(jobs) for result in _run(connection, together)]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends the transaction by itself
                connection.execute("ROLLBACK")
            raise
    return results


def _companies(jobs: Sequence[Job[Any]]) -> Iterator[list[Job[Any]]]:
    """Split a batch: a unit that is about nothing in particular runs by itself, before and after it the others."""
    together: list[Job[Any]] = []
    for job in jobs:
        if job.about:
            together.append(job)
            continue
        if together:
            yield together
        yield [job]
        together = []
    if together:
        yield together


def _run(connection: sqlite3.Connection, jobs: list[Job[Any]]) -> list[Any]:
    if len(jobs) == 1:  # the same, at less cost
        return [drive(connection, jobs[0].work())]
    return run_together(connection, [job.work() for job in jobs], [job.about for job in jobs])


def run_together(
    connection: sqlite3.Connection, units: Sequence[Work[Any]], about: Sequence[tuple[str, ...]]
) -> list[Any]:
    """Step through units of work in lockstep; return their results."""
    steps = lockstep(units, about)
    try:
        asked = next(steps)
        while True:
            asked = steps.send(_answer(connection, asked))
    except StopIteration as end:
        return end.value


def _answer(connection: sqlite3.Connection, asked: Round) -> Answers:
    for statement, many in asked.told:
        connection.executemany(statement.sqlite, many)
    return [
        [connection.execute(statement.sqlite, arguments).fetchall() for arguments in many]
        for statement, many in asked.asked
    ]


def drive(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Step through one unit of work, giving each statement's rows back to it."""
    try:
        statement, arguments = next(work)
        while True:
            statement, arguments = work.send(connection.execute(statement.sqlite, arguments).fetchall())
    except StopIteration as end:
        return end.value
