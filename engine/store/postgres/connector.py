"""Makes connections to PostgreSQL, all with the same bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.errors import BadConfiguration
from interlock.engine.store.postgres.link import FAULTS, Link

log = logging.getLogger("interlock.postgres")

APPLICATION: Final = "interlock"
"""The name that PostgreSQL lists our connections by."""
CONNECT_SECONDS: Final = 3.0
_START_SECONDS: Final = 5.0
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
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
NONE: Final[Mapping[str, str]] = {}
_connect: Final[Any] = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_SETTINGS: Final = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()"


class Connector:
    """Makes connections, all with the same limits.

    `away_until`: when to try again after the database could not be reached; nobody waits for it until then.
    """

    def __init__(self, url: str, application: str) -> None:
        self.away_until = 0.0
        self.warnings: list[str] = []
        self._url = url
        self._settings = {**_LIMITS, **PLANS, "application_name": application}

    async def connect(self, *, limited: bool = True, settings: Mapping[str, str] = NONE) -> Link:
        """Connect within a few seconds to a server that takes writes; `settings` go before the usual ones."""
        usual = self._settings if limited else {"application_name": self._settings["application_name"]}
        raw = await _connect(
            self._url,
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={**usual, **settings},
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
                reason = error.args[0] if isinstance(error, asyncpg.PostgresError) else "the database can't be reached"
                raise BadConfiguration(f"DATABASE_URL: {reason}") from error
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
