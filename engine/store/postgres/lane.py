"""Queues of jobs, and the tasks that do them, each on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from interlock.engine.errors import StoreUnavailable
from interlock.engine.store import Work
from interlock.engine.store.postgres.connector import NONE, Connector
from interlock.engine.store.postgres.link import FAULTS, LOST, Link

log = logging.getLogger("interlock.postgres")
T = TypeVar("T")

MOST_WAITING: Final = 10_000
"""Units of work that may wait; beyond it a caller is asked to come back."""
LEAST_SECONDS: Final = 3.0
"""With less than this left no job is begun.  Where much waits, the first in the queue are those with the least time
left; begun with none, each would be cut off on its way, and take its connection with it."""
_AWAY_SECONDS: Final = 0.5
_TURNS: Final = 3
"""Turns of the event loop that a task waits before it takes what has gathered: those who were answered together come
back together, and without this each batch would begin with the first of them alone."""


class Job(NamedTuple, Generic[T]):
    """A unit of work that waits, and what it is about; its caller awaits `done`, until `deadline` at most."""

    work: Callable[[], Work[T]]
    about: tuple[str, ...]
    done: asyncio.Future[T]
    deadline: float

    def succeed(self, result: T) -> None:
        """Give the caller, where it still waits, the result."""
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give the caller, where it still waits, the error; one of the database's as StoreUnavailable."""
        if self.done.done():
            return
        if isinstance(error, FAULTS):
            unavailable = StoreUnavailable(error_text(error))
            unavailable.__cause__ = error
            error = unavailable
        self.done.set_exception(error)


class Lane:
    """One queue, drained by `tasks` tasks; each takes up to `at_once` jobs and has `run` do them.

    `run` ends each job that it is given, or raises what ends them all.  `settings` are those of the connections.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        run: Callable[[Link, Sequence[Job[Any]]], Awaitable[None]],
        *,
        tasks: int,
        at_once: int,
        settings: Mapping[str, str] = NONE,
    ) -> None:
        self._connector = connector
        self._settings = settings
        self._run = run
        self._at_once = at_once
        self._jobs: asyncio.Queue[Job[Any] | None] = asyncio.Queue(MOST_WAITING)
        self._tasks = [asyncio.create_task(self._drain(), name=f"postgres {name} {n}") for n in range(tasks)]

    def put(self, job: Job[Any]) -> None:
        """Let a job wait for its turn; one that can't is failed."""
        if asyncio.get_running_loop().time() < self._connector.away_until:
            job.fail(StoreUnavailable("the database can't be reached"))
            return
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            job.fail(StoreUnavailable("too much waits for the database"))

    async def close(self) -> None:
        """Do what waits, and close the connections."""
        for _ in self._tasks:
            await self._jobs.put(None)
        await asyncio.gather(*self._tasks)

    async def _drain(self) -> None:
        link: Link | None = None
        while (first := await self._jobs.get()) is not None:
            if self._at_once > 1:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
            jobs = [job for job in (first, *self._take_waiting()) if self._in_time(job)]
            if jobs:
                link = await self._do(link, jobs)
        if link is not None:
            await link.close()

    def _take_waiting(self) -> Iterable[Job[Any]]:
        """Take queued jobs; leave the shutdown sentinel (`None`) in the queue."""
        for _ in range(min(self._at_once - 1, self._jobs.qsize())):
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put_nowait(None)
                return
            yield job

    def _in_time(self, job: Job[Any]) -> bool:
        if asyncio.get_running_loop().time() > job.deadline - LEAST_SECONDS:
            job.fail(TimeoutError())
            return False
        return True

    async def _do(self, link: Link | None, jobs: Sequence[Job[Any]]) -> Link | None:
        try:
            async with asyncio.timeout_at(min(job.deadline for job in jobs)):
                if link is None or link.raw.is_closed():  # the server went away, or was too slow for the last one
                    link = await self._connected()
                await self._run(link, jobs)
                self._connector.away_until = 0.0
        except Exception as error:
            for job in jobs:
                job.fail(error)
            if link is not None and isinstance(error, TimeoutError):
                link.give_up()
        return link

    async def _connected(self) -> Link:
        """Connect; where that fails, all that waits is failed too, and nobody tries for a moment."""
        try:
            return await self._connector.connect(settings=self._settings)
        except Exception as error:
            log.warning("the database can't be reached: %s", str(error) or type(error).__name__)
            self._connector.away_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
            sentinels = 0
            while not self._jobs.empty():
                job = self._jobs.get_nowait()
                if job is None:
                    sentinels += 1
                else:
                    job.fail(error)
            for _ in range(sentinels):
                self._jobs.put_nowait(None)
            raise


def error_text(error: BaseException) -> str:
    """What a caller is shown: no values of rows, no addresses."""
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    if isinstance(error, LOST):
        return "the database can't be reached"
    return f"the database refused: {type(error).__name__}"
