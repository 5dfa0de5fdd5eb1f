"""Filled databases that are kept in a folder, and copies of them to work on.

1000.db, PostgreSQL's in postgres/     as they were filled; only copies are changed
SQLite-1000.json                       the note that one is whole: the schema it has, its bytes on disk
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from interlock.engine.store.statements import SQLITE, migrations
from tests.bench.machine import cpu_seconds, family
from tests.tools.fill import CATALOGUE, fill
from tests.tools.postgres import Server, connect

_SCHEMA: Final = [CATALOGUE.digest, *(step.checksum for step in migrations(SQLITE))]


class SqliteDatabase:
    """A file, and a copy of it to work on."""

    kind = "SQLite"

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self._path = folder / f"{count}.db"
        self._copy = folder / f"{count}-copy.db"
        self.url, self.copy_url = f"sqlite:///{self._path}", f"sqlite:///{self._copy}"

    async def there(self) -> bool:
        """Whether it was ever made, whole or not."""
        return self._path.is_file()

    async def empty(self) -> None:
        """Begin it anew."""
        _remove(self._path)

    async def size(self) -> int:
        """Bytes on disk."""
        return self._path.stat().st_size

    async def copy(self) -> None:
        """Make the copy anew."""
        _remove(self._copy)
        await asyncio.to_thread(shutil.copyfile, self._path, self._copy)
        os.sync()
        with self._path.open("rb") as original:  # the memory is for the copy
            os.posix_fadvise(original.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    async def drop_copy(self) -> None:
        """Take the copy away, if there is one."""
        _remove(self._copy)

    def cpu_seconds(self) -> float:
        """Processor time that its own processes have used; SQLite has none."""
        return 0.0

    def bytes_read(self) -> int:
        """What this process has read from the disk itself, not from the system's memory of it."""
        return _bytes_read([os.getpid()])


class PostgresDatabase:
    """A database of a server, and a copy of it to work on."""

    kind = "PostgreSQL"

    def __init__(self, server: Server, count: int) -> None:
        self.count = count
        self._server = server
        self._name, self._copy = f"grow_{count}", f"grow_{count}_copy"
        self.url, self.copy_url = server.url(self._name), server.url(self._copy)

    async def there(self) -> bool:
        """Whether it was ever made, whole or not."""
        return bool(await self._server.run(f"SELECT 1 FROM pg_database WHERE datname = '{self._name}'"))

    async def empty(self) -> None:
        """Begin it anew."""
        await self._drop(self._name)
        await self._server.run(f"CREATE DATABASE {self._name}")

    async def size(self) -> int:
        """Bytes on disk."""
        connection = await connect(self.url)
        try:
            return await connection.fetchval("SELECT pg_database_size(current_database())")
        finally:
            await connection.close()

    async def copy(self) -> None:
        """Make the copy anew."""
        await self.drop_copy()
        await self._server.run(f"CREATE DATABASE {self._copy} TEMPLATE {self._name} STRATEGY FILE_COPY")
        await self._server.run("CHECKPOINT")

    async def drop_copy(self) -> None:
        """Take the copy away, if there is one."""
        await self._drop(self._copy)

    async def _drop(self, database: str) -> None:
        await self._server.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def cpu_seconds(self) -> float:
        """Processor time that the server's processes have used, those that have ended included."""
        return cpu_seconds(self._pids())

    def bytes_read(self) -> int:
        """What the server's processes have read from the disk itself; one that ends takes its part along."""
        return _bytes_read(self._pids())

    def _pids(self) -> list[int]:
        return family(int((self._server.folder / "postmaster.pid").read_text().partition("\n")[0]))


Database = SqliteDatabase | PostgresDatabase


def _bytes_read(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^read_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


async def filled(database: Database, notes: Path) -> float:
    """Fill it unless a note says that it is whole, with this schema; returns its bytes for each subscription."""
    note = notes / f"{database.kind}-{database.count}.json"
    if note.is_file() and await database.there():
        told = json.loads(note.read_text("utf-8"))
        if told["schema"] == _SCHEMA:
            return told["bytes"] / database.count
    note.unlink(missing_ok=True)
    begun = time.perf_counter()
    await database.empty()
    await fill(database.url, database.count)
    size = await database.size()
    note.write_text(json.dumps({"schema": _SCHEMA, "bytes": size}), "utf-8")
    taken = time.perf_counter() - begun
    print(f"filled {database.kind} with {database.count:,} in {taken:.0f} s", file=sys.stderr, flush=True)
    return size / database.count


@contextlib.contextmanager
def folder_for(keep: Path | None) -> Generator[Path]:
    """The folder to keep, or a temporary one; whoever runs PostgreSQL must come through."""
    with tempfile.TemporaryDirectory(prefix="interlock-grow-", ignore_cleanup_errors=True) as temporary:
        folder = keep.resolve() if keep else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        (folder / "postgres").mkdir(exist_ok=True)
        yield folder
