"""Brings the schema of a PostgreSQL database up to this program's."""

from __future__ import annotations

from typing import Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from interlock.engine.errors import BadConfiguration
from interlock.engine.store.postgres.connector import Connector
from interlock.engine.store.statements import POSTGRES, check_schema, migrations

_SCHEMA_LOCK: Final = 0x696E7465726C6F63


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
