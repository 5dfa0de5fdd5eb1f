"""One connection to PostgreSQL: it executes the rounds of a batch, and ends in bounded time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.store import Row
from interlock.engine.store.lockstep import Answers, Arguments, Group, Round
from interlock.engine.store.postgres.many import as_one, for_many, locking_many, takes_many
from interlock.engine.store.statements import Statement

LOST: Final = (
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError, EOFError,
    asyncpg.InternalClientError,  # asyncpg, where the connection ends at an odd moment
)  # fmt: skip
FAULTS: Final = (asyncpg.PostgresError, *LOST)
"""All that a database may do to a unit of work; `LOST` where it can't be reached."""

_END_SECONDS: Final = 2.0
_ALONE_SECONDS: Final = 5.0
_MOST_PREPARED: Final = 500
"""Writes go together in many combinations, each a statement of its own; most that ever come are a few dozen."""
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_types: dict[Statement, list[str]] = {}
"""The types of each statement's parameters, as PostgreSQL has them; the same on every connection."""


class Link:
    """A connection, with each statement prepared when it is first used."""

    def __init__(self, raw: Any) -> None:  # asyncpg's own; it has no types
        self.raw = raw
        self._prepared: dict[Any, Any] = {}
        self._names = itertools.count(1)

    async def begin(self, locks: Iterable[int]) -> None:
        """Begin a transaction, and take these advisory locks in order, in one round trip."""
        numbers = ",".join(map(str, locks))
        taken = f"; SELECT count(pg_advisory_xact_lock(turn)) FROM unnest('{{{numbers}}}'::bigint[]) turn"
        await self.raw.execute(_BEGIN + (taken if numbers else ""))

    async def answer(self, asked: Round) -> Answers:
        """Execute a round."""
        locks: list[Group] = [(s.lock_first, many) for s, many in asked.asked if s.lock_first is not None]
        if asked.told or locks:
            await self._tell(asked.told, locks)
        return [await self._ask(statement, many) for statement, many in asked.asked]

    async def _tell(self, told: list[Group], locks: list[Group]) -> None:
        """Execute all writes as one statement, and with it the first locks; most often there are no others."""
        await self._execute_as_one(told, locks[:1])
        for lock in locks[1:]:
            await self._execute_as_one([], [lock])

    async def _execute_as_one(self, told: list[Group], locks: list[Group]) -> None:
        groups = [*told, *locks]
        key = tuple(statement for statement, _ in groups)
        prepared = self._prepared.get(key)
        if prepared is None:
            parts: list[str] = []
            before = 0
            for statement, _ in groups:
                types = await self._types_of(statement)
                write = for_many if statement.writes else locking_many
                parts.append(write(statement, types, before))
                before += len(types)
            prepared = await self._prepare(key, as_one(parts))
        await prepared.fetch(*(column for _, many in groups for column in zip(*many, strict=True)))

    async def _ask(self, statement: Statement, many: list[Arguments]) -> list[list[Row]]:
        if len(many) == 1 or not takes_many(statement) or statement.writes:
            prepared = self._prepared.get(statement) or await self._prepare(statement, statement.postgres)
            return [await prepared.fetch(*arguments) for arguments in many]
        key = (statement, "many")
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = await self._prepare(key, for_many(statement, await self._types_of(statement)))
        found: list[list[Row]] = [[] for _ in many]
        rows: list[Row] = await prepared.fetch(*zip(*many, strict=True))
        for row in rows:
            number: int = row[0]
            found[number - 1].append(row[1:])
        return found

    async def _types_of(self, statement: Statement) -> list[str]:
        if statement not in _types:
            prepared = self._prepared.get(statement) or await self._prepare(statement, statement.postgres)
            _types[statement] = [parameter.name for parameter in prepared.get_parameters()]
        return _types[statement]

    async def _prepare(self, key: Any, sql: str) -> Any:
        # Named: asyncpg has PostgreSQL parse and plan an unnamed one again at each execution.
        prepared = await self.raw.prepare(sql, name=f"s{next(self._names)}")
        if len(self._prepared) == _MOST_PREPARED:
            del self._prepared[next(iter(self._prepared))]  # asyncpg closes it
        self._prepared[key] = prepared
        return prepared

    async def execute(self, sql: str) -> None:
        """Execute what needs no arguments, in one round trip."""
        await self.raw.execute(sql)

    async def roll_back(self) -> None:
        """Leave the transaction, where there is one; a connection that can't is given up."""
        try:
            if self.raw.is_in_transaction():
                async with asyncio.timeout(_END_SECONDS):
                    await self.raw.execute("ROLLBACK")
        except Exception:
            self.raw.terminate()

    def give_up(self) -> None:
        """Drop it: what did not answer in time is still awaited on it, and the next statement would wait for that."""
        self.raw.terminate()

    async def close(self) -> None:
        """Say goodbye, but not for long."""
        try:
            await self.raw.close(timeout=_END_SECONDS)
        except Exception:
            self.raw.terminate()

    async def try_alone(self, name: str, rest: float) -> bool:
        """Take the session's lock of that name, unless somebody has it, or had it within `rest` seconds."""
        async with asyncio.timeout(_ALONE_SECONDS):
            if not await self.raw.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 1))", name):
                return False
            recent = "SELECT extract(epoch FROM clock_timestamp()) - value::float8 < $2 FROM memo WHERE name = $1"
            return not await self.raw.fetchval(recent, f"alone:{name}", rest)

    async def rest_from(self, name: str) -> None:
        """Note that what was done alone is done."""
        await self.raw.execute(
            "INSERT INTO memo (name, value) VALUES ($1, extract(epoch FROM clock_timestamp())::text) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            f"alone:{name}",
            timeout=_ALONE_SECONDS,
        )
