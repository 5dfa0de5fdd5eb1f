"""Keeps processes on one SQLite file in order: who may be its service, and who may write now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from interlock.engine.errors import BadConfiguration

BUSY_SECONDS: Final = 5.0


class NotBegun(Exception):
    """No transaction could be begun: trying the jobs one by one would wait as long for each."""

    def __init__(self, cause: sqlite3.Error) -> None:
        self.cause = cause


class Locks:
    """Advisory locks on `NAME-lock`: byte 0 is the service's for life, byte 1 a writer's for a batch.

    They stand beside the file itself, as SQLite's own WAL does, whatever link leads to it.
    """

    def __init__(self, database: Path) -> None:
        self._file = os.open(f"{os.path.realpath(database)}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def hold_service(self) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError as error:
            raise BadConfiguration(
                "DATABASE_URL: another interlock service runs on this SQLite file; "
                "stop it, or use PostgreSQL for more than one"
            ) from error

    @contextlib.contextmanager
    def writing(self) -> Generator[None]:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise NotBegun(sqlite3.OperationalError("database is locked by another process")) from error
                time.sleep(0.002)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1)

    def release(self) -> None:
        os.close(self._file)
