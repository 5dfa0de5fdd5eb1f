"""PostgreSQL: many processes on one database, and in each a few connections that carry many units of work at a time.

Units of work that wait together go through one transaction in lockstep (`store.lockstep`): the database is asked once
for all of them, and commits once.  Callers never hold a connection, so a caller that is cancelled leaves no
transaction open.  Where a batch fails, whatever the reason, it leaves nothing, and each of its units has a transaction
of its own, on other connections, so that one bad unit takes no other with it.

What several transactions at once could break, and what keeps it whole:

    one customer, one user   advisory locks of all that a batch is `about`, taken in one order by the round trip that
                             begins it; so batches never wait for each other in a circle, and no unit overlooks what
                             another is storing for the same customer or user
    one subscription         its row is locked before it is read (`load`), also one that was never seen; a batch locks
                             its rows in one order
    one event, twice         its key; the second one starts anew and then sees it
    a user found later       (by the customer's metadata) the row is locked in a statement of its own; the next one
                             then sees the latest commit
    a circle after all       PostgreSQL ends one of the two, and that one starts anew

The isolation is READ COMMITTED: each statement sees what was committed before it, so what is read under a lock
is the latest.  Session locks, LISTEN and prepared statements need a connection that stays the same: connect
directly, or through a pooler in session mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.errors import StoreUnavailable
from interlock.engine.store import OnForeignChange, Work
from interlock.engine.store.lockstep import Answers, lockstep
from interlock.engine.store.postgres.connector import APPLICATION, Connector
from interlock.engine.store.postgres.lane import Job, Lane, error_text
from interlock.engine.store.postgres.link import FAULTS, LOST, Link
from interlock.engine.store.postgres.migrate import migrate
from interlock.engine.store.postgres.news import News

log = logging.getLogger("interlock.postgres")
T = TypeVar("T")

WRITERS: Final = 2
ALONE: Final = 4
READERS: Final = 2
"""Tasks, each with a connection: for batches of units, for units that go alone, and for batches of reads."""
BATCH: Final = 64
JOB_SECONDS: Final = 8.0
"""How long a unit of work may take, from when it is asked for: it waits, and is done with all its restarts."""
_BATCH_SETTINGS: Final = {"lock_timeout": "1500"}
"""How long a batch waits for a lock; then each unit goes alone, and only the one concerned waits on."""
_TRIES: Final = 12

_START_ANEW: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,  # somebody else stored it first; the next try sees that
)
_GO_ALONE: Final = (*_START_ANEW, asyncpg.LockNotAvailableError)


def _turn_of(thing: str) -> int:
    """The advisory lock of a customer or user: 64 bits of a digest, so that two seldom share one."""
    return int.from_bytes(hashlib.blake2b(thing.encode(), digest_size=8).digest(), signed=True)


async def _drive(link: Link, jobs: Sequence[Job[Any]], *, holding: bool) -> list[Any]:
    """Step through the units of jobs together; return their results."""
    steps = lockstep([job.work() for job in jobs], [job.about for job in jobs], holding=holding)
    answers: Answers | None = None
    try:
        while True:
            asked = next(steps) if answers is None else steps.send(answers)
            answers = await link.answer(asked)
    except StopIteration as end:
        return end.value


class PostgresStore:
    """A Store on one PostgreSQL database, which other processes may share.

    A connection that breaks while COMMIT is on its way leaves open whether the units of work were stored; their
    callers get StoreUnavailable, and doing it again does no harm, as for all that comes at least once.
    """

    exclusive = False

    def __init__(self, connector: Connector) -> None:
        self.on_foreign_change: OnForeignChange = lambda users: None
        self.exclusive = False
        self._connector = connector

        self._together = Lane(
            "writer", connector, self._write_batch, tasks=WRITERS, at_once=BATCH, settings=_BATCH_SETTINGS
        )
        self._alone = Lane("alone", connector, self._write_alone, tasks=ALONE, at_once=1)
        self._reading = Lane("reader", connector, self._read_batch, tasks=READERS, at_once=BATCH)
        self._news = News(connector, lambda users: self.on_foreign_change(users))

    @classmethod
    async def open(cls, url: str, *, service: bool = True) -> PostgresStore:
        """Connect and bring the schema up to date; raise BadConfiguration where that can't be."""
        connector = Connector(url, APPLICATION if service else f"{APPLICATION} command")
        await migrate(connector)
        return cls(connector)

    async def write(self, work: Callable[[], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run a unit of work in a transaction; return once it is committed."""
        return await self._do(self._together if about else self._alone, work, about)

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads; those that ask at the same moment share a statement."""
        return await self._do(self._reading, work, ())

    async def _do(self, lane: Lane, work: Callable[[], Work[T]], about: tuple[str, ...]) -> T:
        loop = asyncio.get_running_loop()
        job = Job(work, about, loop.create_future(), loop.time() + JOB_SECONDS)
        lane.put(job)
        return await job.done

    async def _write_batch(self, link: Link, jobs: Sequence[Job[Any]]) -> None:
        try:
            results = await self._attempt(link, jobs)
        except (*LOST, TimeoutError):
            raise
        except Exception as error:
            if len(jobs) == 1 and not isinstance(error, _GO_ALONE):
                raise
            log.debug("%d units of work go alone: %s", len(jobs), type(error).__name__)
            for job in jobs:
                self._alone.put(job)
            return
        for job, result in zip(jobs, results, strict=True):
            job.succeed(result)

    async def _write_alone(self, link: Link, jobs: Sequence[Job[Any]]) -> None:
        for attempt in range(_TRIES):
            try:
                (result,) = await self._attempt(link, jobs)
            except _START_ANEW as error:
                if attempt == _TRIES - 1:
                    raise
                log.debug("a unit of work starts anew: %s", type(error).__name__)
                await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311
            else:
                jobs[0].succeed(result)
                return

    async def _attempt(self, link: Link, jobs: Sequence[Job[Any]]) -> list[Any]:
        try:
            await link.begin(sorted({_turn_of(thing) for job in jobs for thing in job.about}))
            results = await _drive(link, jobs, holding=True)
            await link.execute("COMMIT")
        except Exception:
            await link.roll_back()
            raise
        return results

    async def _read_batch(self, link: Link, jobs: Sequence[Job[Any]]) -> None:
        try:
            results = await _drive(link, jobs, holding=False)
        except (*LOST, TimeoutError):
            raise
        except Exception:
            if len(jobs) == 1:
                raise
            for job in jobs:
                await self._read_one(link, job)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.succeed(result)

    async def _read_one(self, link: Link, job: Job[Any]) -> None:
        try:
            (result,) = await _drive(link, [job], holding=False)
        except (*LOST, TimeoutError):
            raise
        except Exception as error:
            job.fail(error)
        else:
            job.succeed(result)

    def announce(self, users: Iterable[str]) -> None:
        """Let other processes know whose state changed.  It was committed before."""
        self._news.announce(users)

    @contextlib.asynccontextmanager
    async def alone(self, name: str, rest: float) -> AsyncGenerator[bool]:
        """Yield true where no other process runs `name`, and none finished it in the last `rest` seconds.

        The lock is a connection's own, and ends with it: one whose process dies is free at once.
        """
        try:
            link = await self._connector.connect()
        except Exception as error:
            raise StoreUnavailable(error_text(error)) from error
        try:
            mine = await link.try_alone(name, rest)
            yield mine
            if mine:
                await link.rest_from(name)
        except FAULTS as error:
            raise StoreUnavailable(error_text(error)) from error
        finally:
            await link.close()

    async def close(self) -> None:
        """Commit what waits, announce what is to be announced, and let go of the database."""
        await self._together.close()
        await self._alone.close()
        await self._reading.close()
        await self._news.close()

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the database's settings, as found when it was opened."""
        return self._connector.warnings
