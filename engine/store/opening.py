"""`DATABASE_URL` to the store that it names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from interlock.engine.errors import BadConfiguration
from interlock.engine.store import Store
from interlock.engine.store.sqlite.store import SqliteStore


async def open_store(url: str, *, service: bool) -> Store:
    """Open a database and bring its schema up to date; raise BadConfiguration where that can't be."""
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return await SqliteStore.open(sqlite_path(url), service=service)
    if scheme not in ("postgresql", "postgres"):
        raise BadConfiguration("DATABASE_URL: expected sqlite:///… or postgresql://…")
    try:
        from interlock.engine.store.postgres.store import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise BadConfiguration(
            "DATABASE_URL: PostgreSQL needs its driver: pip install 'interlock[postgres]'"
        ) from error
    return await PostgresStore.open(url, service=service)


def sqlite_path(url: str) -> Path:
    """Return the file of a `sqlite:///` address."""
    _, _, rest = url.partition("://")
    path = unquote(urlsplit(url).path)[1:] if rest.startswith("/") else ""
    if not path:
        raise BadConfiguration("DATABASE_URL: expected sqlite:///name.db or sqlite:////absolute/name.db")
    return Path(path)
