"""PostgreSQL: many processes on one database, many connections each, one transaction a unit of work.

Every `write` waits in a queue that a few tasks drain, each with a connection of its own; callers never hold one,
so a caller that is cancelled leaves no transaction open.  PostgreSQL itself gathers commits that wait for the
disk at the same moment, so little is gained by putting several units into one transaction (measured: a seventh of
the work, for each then needs a savepoint); apart, one that fails takes no other with it, and none waits for locks
that another one's neighbour holds.

What several transactions at once could break, and what keeps it whole:

    one subscription    its row is locked before it is read (`load`), also one that was never seen
    one customer        its units take turns by an advisory lock, which comes with BEGIN and costs no round trip;
                        so they never wait for each other in a circle, and none overlooks what another is storing
    one event, twice    its key; whoever comes second starts anew and then sees it
    one user            its row is locked while its state is drawn of all its subscriptions
    a circle after all  PostgreSQL ends one of the two, and that one starts anew

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
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.errors import StoreUnavailable
from interlock.engine.store import OnForeignChange, Work
from interlock.engine.store.postgres.link import APPLICATION, FAULTS, LOST, Connector, Link, migrate
from interlock.engine.store.postgres.news import News

log = logging.getLogger("interlock.postgres")
T = TypeVar("T")

WRITERS: Final = 8
READERS: Final = 4
MOST_WAITING: Final = 10_000
"""Units of work that may wait; beyond it a caller is told to come back."""
JOB_SECONDS: Final = 8.0
"""How long a unit of work may take, from when it is asked for: it waits, and is done with all its restarts."""
LEAST_SECONDS: Final = 3.0
"""With less than this left none is begun.  Where much waits, the first in the queue are those with the least time left;
begun with none, each would be cut off on its way, and take its connection with it."""
_TRIES: Final = 12
_AWAY_SECONDS: Final = 0.5

_START_ANEW: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,  # somebody else stored it first; the next try sees that
)


class _Job(NamedTuple, Generic[T]):
    run: Callable[[Link], Awaitable[T]]
    done: asyncio.Future[T]
    deadline: float


def _turn_of(about: str) -> int:
    """The advisory lock of a customer: 64 bits of a digest, so that two seldom share one."""
    return int.from_bytes(hashlib.blake2b(about.encode(), digest_size=8).digest(), signed=True)


async def _drive(link: Link, work: Work[T]) -> T:
    """Step through a unit of work, giving each statement's rows back to it."""
    try:
        statement, arguments = next(work)
        while True:
            statement, arguments = work.send(await link.fetch(statement, arguments))
    except StopIteration as end:
        return end.value


class _Lane:
    """A queue of jobs and the tasks that do them, each on its own connection."""

    def __init__(self, name: str, connector: Connector, tasks: int) -> None:
        self._connector = connector
        self._jobs: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(MOST_WAITING)
        self._away_until = 0.0
        self._tasks = [asyncio.create_task(self._drain(), name=f"postgres {name} {n}") for n in range(tasks)]

    async def do(self, run: Callable[[Link], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._away_until:
            raise StoreUnavailable("the database can't be reached")
        job = _Job(run, loop.create_future(), now + JOB_SECONDS)
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise StoreUnavailable("too much waits for the database") from None
        return await job.done

    async def close(self) -> None:
        for _ in self._tasks:
            await self._jobs.put(None)
        await asyncio.gather(*self._tasks)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        link: Link | None = None
        while (job := await self._jobs.get()) is not None:
            if loop.time() > job.deadline - LEAST_SECONDS:
                _fail(job, TimeoutError())
                continue
            try:
                async with asyncio.timeout_at(job.deadline):
                    if link is None or link.raw.is_closed():  # the server went away, or was too slow for the last one
                        link = await self._connect()
                    result = await job.run(link)
            except Exception as error:
                _fail(job, error)
                if link is not None and isinstance(error, TimeoutError):
                    link.give_up()
            else:
                if not job.done.done():
                    job.done.set_result(result)
        if link is not None:
            await link.close()

    async def _connect(self) -> Link:
        """Connect; where that fails, whoever waits behind hears of it too, and nobody tries for a moment."""
        try:
            return await self._connector.connect()
        except Exception as error:
            log.warning("the database can't be reached: %s", str(error) or type(error).__name__)
            self._away_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
            ends = 0
            while not self._jobs.empty():
                job = self._jobs.get_nowait()
                if job is None:
                    ends += 1
                else:
                    _fail(job, error)
            for _ in range(ends):
                self._jobs.put_nowait(None)
            raise


def _fail(job: _Job[Any], error: Exception) -> None:
    if job.done.done():
        return
    if isinstance(error, FAULTS):
        unavailable = StoreUnavailable(_words(error))
        unavailable.__cause__ = error
        job.done.set_exception(unavailable)
    else:
        job.done.set_exception(error)


def _words(error: Exception) -> str:
    """What a caller is shown: no values of rows, no addresses."""
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    if isinstance(error, LOST):
        return "the database can't be reached"
    return f"the database refused: {type(error).__name__}"


class PostgresStore:
    """A Store on one PostgreSQL database, which other processes may share.

    A connection that breaks while COMMIT is on its way leaves open whether the unit of work was stored; its
    caller is told StoreUnavailable, and doing it again does no harm, as for all that comes at least once.
    """

    def __init__(self, connector: Connector) -> None:
        self.on_foreign_change: OnForeignChange = lambda users: None
        self._connector = connector
        self._writing = _Lane("writer", connector, WRITERS)
        self._reading = _Lane("reader", connector, READERS)
        self._news = News(connector, lambda users: self.on_foreign_change(users))

    @classmethod
    async def open(cls, url: str, *, service: bool = True) -> PostgresStore:
        """Connect and bring the schema up to date; raise BadConfiguration where that can't be."""
        connector = Connector(url, APPLICATION if service else f"{APPLICATION} command")
        await migrate(connector)
        return cls(connector)

    async def write(self, work: Callable[[], Work[T]], *, about: str | None = None) -> T:
        """Run a unit of work in a transaction of its own; return once it is committed."""
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
        if about is not None:
            begin += f"; SELECT pg_advisory_xact_lock({_turn_of(about)})"

        async def transaction(link: Link) -> T:
            for attempt in range(_TRIES):
                try:
                    return await self._attempt(link, begin, work)
                except _START_ANEW as error:
                    if attempt == _TRIES - 1:
                        raise
                    log.debug("a unit of work starts anew: %s", type(error).__name__)
                    await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311
            raise AssertionError("unreachable")

        return await self._writing.do(transaction)

    async def _attempt(self, link: Link, begin: str, work: Callable[[], Work[T]]) -> T:
        try:
            await link.execute(begin)
            result = await _drive(link, work())
            await link.commit()
        except Exception:
            await link.roll_back()
            raise
        return result

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads, on a connection that can do nothing else."""
        return await self._reading.do(lambda link: _drive(link, work()))

    def announce(self, users: Iterable[str]) -> None:
        """Let other processes know whose state changed.  It was committed before."""
        self._news.announce(users)

    @contextlib.asynccontextmanager
    async def alone(self, name: str, rest: float) -> AsyncGenerator[bool]:
        """Yield whether this process is to do it: no other does, nor has finished it within `rest` seconds.

        The lock is a connection's own, and ends with it: one whose process dies is free at once.
        """
        try:
            link = await self._connector.connect()
        except Exception as error:
            raise StoreUnavailable(_words(error)) from error
        try:
            mine = await link.try_alone(name, rest)
            yield mine
            if mine:
                await link.rest_from(name)
        except FAULTS as error:
            raise StoreUnavailable(_words(error)) from error
        finally:
            await link.close()

    async def close(self) -> None:
        """Commit what waits, tell what is to be told, and let go of the database."""
        await self._writing.close()
        await self._reading.close()
        await self._news.close()

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the database's settings, as found when it was opened."""
        return self._connector.warnings
