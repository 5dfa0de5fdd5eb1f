"""Both databases, for one suite: each test runs on SQLite and on PostgreSQL, with a database of its own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.engine.config import Config
from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Store
from interlock.engine.store.opening import open_store
from tests.kit.settings import PLANS
from tests.store.life import NOW
from tests.tools.postgres import Server, connect, temporary_server


class Database:
    """One database: its address, the store on it, and a way to look at it past the store."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    @contextlib.asynccontextmanager
    async def open(self, *, service: bool = True) -> AsyncGenerator[Store]:
        """Open a store for the length of the block."""
        store = await open_store(self.url, service=service)
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def inbox(self) -> AsyncGenerator[Runner]:
        """Open a store, and an inbox on it whose clock stands still."""
        async with self.open() as store:
            yield inbox_on(store)

    async def look(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Run a statement past the store; `$1` are its arguments."""
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                return connection.execute(sql.replace("$", "?"), arguments).fetchall()
        connection = await connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()


def inbox_on(store: Store) -> Runner:
    """Return an inbox on a store, as the service makes it, with a clock that stands still."""
    config = Config(
        stripe_key="sk_test_0123456789abcdef",
        webhook_secrets=("whsec_0123456789abcdef",),
        database_url="",
        catalogue=read_catalogue(PLANS),
        app_url="http://localhost",
        clock=lambda: NOW,
    )
    return Runner(store, Hub(), config)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests of the session."""
    with temporary_server("max_connections=200") as running:
        yield running


@pytest.fixture
def postgres(server: Server) -> Database:
    """An empty PostgreSQL database."""
    return Database("postgresql", server.new_database())


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    """A SQLite file that is not there yet."""
    return Database("sqlite", f"sqlite:///{tmp_path / 'interlock.db'}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each of the two, empty."""
    found: Database = request.getfixturevalue("sqlite" if request.param == "sqlite" else "postgres")
    return found
