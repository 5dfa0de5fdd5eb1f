"""One connection to PostgreSQL: how it is made, bounded, and told the statements."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.errors import BadConfiguration
from interlock.engine.store import Row
from interlock.engine.store.statements import POSTGRES, Query, Statement, check_schema, migrations

log = logging.getLogger("interlock.postgres")

LOST: Final = (
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError, EOFError,
    asyncpg.InternalClientError,  # asyncpg, where the connection ends at an odd moment
)  # fmt: skip
FAULTS: Final = (asyncpg.PostgresError, *LOST)
"""All that a database may do to a unit of work; `LOST` where it can't be reached."""

APPLICATION: Final = "interlock"
"""The name that PostgreSQL lists our connections by."""
CONNECT_SECONDS: Final = 3.0
_START_SECONDS: Final = 5.0
_END_SECONDS: Final = 2.0
_ALONE_SECONDS: Final = 5.0
_LIMITS: Final = {
    "statement_timeout": "5000",
    "lock_timeout": "4000",  # longer than deadlock_timeout, which finds a circle after a second
    "idle_in_transaction_session_timeout": "10000",
    "tcp_user_timeout": "5000",
}
PLANS: Final = {
    # Every statement that matters finds its rows by a key.  Its plan is made once a connection and stays that one,
    # also where the tables were still empty then, or their statistics lie.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
_connect: Final[Any] = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_SCHEMA_LOCK: Final = 0x696E7465726C6F63
_SETTINGS: Final = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()"


class Link:
    """A connection, with each statement, or company of statements, prepared when it is first used.

    Writes that may wait do so, one a table, for the next statement that returns rows or for COMMIT, and go there
    together: a round trip costs more than what it carries.  One a table, so that no two touch the same row.
    READ COMMITTED: a statement sees what was committed when it began, not what the holder of the row that it waits for
    was still storing elsewhere; where it reads more than that row, `lock_first` locks it in a statement before.
    """

    def __init__(self, raw: Any) -> None:  # asyncpg's own; it has no types
        self.raw = raw
        self._prepared: dict[tuple[Statement, ...], Any] = {}
        self._waiting: dict[str, Query] = {}

    async def fetch(self, statement: Statement, arguments: tuple[Any, ...]) -> list[Row]:
        """Run a statement."""
        if statement.may_wait and statement.writes is not None:
            if statement.writes in self._waiting:
                await self._send_waiting()
            self._waiting[statement.writes] = statement, arguments
            return []
        if self._waiting:
            await self._send_waiting()
        if statement.lock_first is not None and not await self._run((statement.lock_first,), arguments):
            return []
        return await self._run((statement,), arguments)

    async def _run(self, names: tuple[Statement, ...], arguments: tuple[Any, ...]) -> list[Row]:
        statement = self._prepared.get(names)
        if statement is None:
            # Named: asyncpg has PostgreSQL parse and plan an unnamed one again at each execution.
            statement = await self.raw.prepare(_together(names), name=f"s{len(self._prepared)}")
            self._prepared[names] = statement
        return await statement.fetch(*arguments)

    async def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        names, arguments = zip(*waiting.values(), strict=True)
        await self._run(names, tuple(itertools.chain.from_iterable(arguments)))

    async def commit(self) -> None:
        """Send what waits, and commit."""
        if self._waiting:
            await self._send_waiting()
        await self.raw.execute("COMMIT")

    async def execute(self, sql: str) -> None:
        """Run what needs no arguments, in one round trip."""
        await self.raw.execute(sql)

    async def roll_back(self) -> None:
        """Leave the transaction, where there is one; a connection that can't is given up."""
        self._waiting.clear()
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


def _together(statements: tuple[Statement, ...]) -> str:
    """Write several statements as one: each but the last is a WITH of it, its arguments are numbered on."""
    parts: list[str] = []
    before = 0
    for statement in statements:
        sql = statement.postgres
        shift = before
        parts.append(re.sub(r"\$(\d+)", lambda match, shift=shift: f"${int(match[1]) + shift}", sql))
        before += len(statement.parameters)
    *first, last = parts
    return "".join(f"{'WITH' if n == 0 else ','} w{n} AS ({sql}) " for n, sql in enumerate(first)) + last


class Connector:
    """Makes connections, all with the same limits."""

    def __init__(self, url: str, application: str) -> None:
        self.warnings: list[str] = []
        self._url = url
        self._settings = {**_LIMITS, **PLANS, "application_name": application}

    async def connect(self, *, limited: bool = True) -> Link:
        """Connect within a few seconds to a server that takes writes."""
        settings = self._settings if limited else {"application_name": self._settings["application_name"]}
        raw = await _connect(
            self._url,
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings=settings,
            target_session_attrs="read-write",
        )
        return Link(raw)

    async def first(self) -> Link:
        """Connect for the first time: a server that is just starting is waited for, a wrong address is not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while True:
            try:
                return await self.connect(limited=False)
            except (asyncpg.CannotConnectNowError, ConnectionRefusedError, FileNotFoundError) as error:
                if loop.time() > deadline:
                    raise BadConfiguration("DATABASE_URL: the database can't be reached") from error
            except (*FAULTS, ValueError) as error:
                words = error.args[0] if isinstance(error, asyncpg.PostgresError) else "the database can't be reached"
                raise BadConfiguration(f"DATABASE_URL: {words}") from error
            await asyncio.sleep(0.2)

    async def look_at_settings(self, link: Link) -> None:
        """Note what would lose acknowledged events.  A commit that does not wait for the disk is made to."""
        commit, fsync, _ = (await link.raw.fetch(_SETTINGS))[0]
        if commit == "off":
            self.warnings.append("synchronous_commit is off in the database; Interlock turns it on for itself")
            self._settings["synchronous_commit"] = "on"
        if fsync == "off":
            self.warnings.append("fsync is off in the database: what was acknowledged is lost when its machine stops")
        for warning in self.warnings:
            log.warning("%s", warning)


async def migrate(connector: Connector) -> None:
    """Bring the schema up to this program's, one process at a time; refuse one that a newer program has changed."""
    link = await connector.first()
    try:
        await connector.look_at_settings(link)
        async with link.raw.transaction():
            await link.execute(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            await link.execute(
                "CREATE TABLE IF NOT EXISTS schema_step (number bigint PRIMARY KEY, name text, checksum text)"
            )
            applied: dict[int, str] = dict(await link.raw.fetch("SELECT number, checksum FROM schema_step"))
            steps = migrations(POSTGRES)
            check_schema(applied, {step.number: step.checksum for step in steps})
            for step in steps:
                if step.number not in applied:
                    await link.execute(step.sql)
                    await link.raw.execute(
                        "INSERT INTO schema_step VALUES ($1, $2, $3)", step.number, step.name, step.checksum
                    )
    except asyncpg.PostgresError as error:
        raise BadConfiguration(f"DATABASE_URL: the schema could not be made: {error.args[0]}") from error
    finally:
        await link.close()
