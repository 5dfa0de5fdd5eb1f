"""A process that forks services.  Each is `interlock serve`, and does on SIGUSR1 what its orders say:

    {"die": "before event_insert", "nth": 2}    SIGKILL itself there: in the midst of a transaction, or between two
    {"pages": 30}                               the database may not grow beyond so many pages: a full disk

The steps are the engine's own, wrapped here from outside; the engine knows nothing of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from interlock.api import cli
from interlock.api.app import create_app
from interlock.api.commands import serve
from interlock.api.settings import Settings
from interlock.engine.flow import asker as truth
from interlock.engine.store.sqlite import batch as sqlite
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.wire.client import StripeClient
from tests.faults.processes import RUNNING

_NAMES: Final = {statement.sqlite: statement.name for statement in STATEMENTS.values()}
_inner: Final[Any] = vars(sqlite)["_transact"]


class _Fate:
    """Where this process is to die, and how far its database may grow."""

    step = ""
    left = 0
    pages = 0

    def pass_by(self, step: str) -> None:
        """A named step is reached."""
        if step == self.step:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


fate: Final = _Fate()


class _Watched:
    """A connection that tells of each statement before and after it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._done: list[str] = []

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, arguments: Any = ()) -> sqlite3.Cursor:
        return self._run(self._connection.execute, sql, arguments)

    def executemany(self, sql: str, many: Any) -> sqlite3.Cursor:
        return self._run(self._connection.executemany, sql, many)

    def _run(self, execute: Callable[[str, Any], sqlite3.Cursor], sql: str, arguments: Any) -> sqlite3.Cursor:
        name = _NAMES.get(sql, sql.partition(" ")[0])
        fate.pass_by(f"before {name}")
        self._each(f"before {name} of ", name)
        cursor = execute(sql, arguments)
        fate.pass_by(f"after {name}")
        self._each(f"after {name} of ", name)
        self._done.append(name)
        return cursor

    def _each(self, words: str, name: str) -> None:
        if name == "COMMIT":
            for done in dict.fromkeys(self._done):
                fate.pass_by(words + done)


def _transact(connection: sqlite3.Connection, locks: Any, jobs: list[Any]) -> list[Any]:
    if fate.pages:
        connection.execute(f"PRAGMA max_page_count = {fate.pages}")
    return _inner(cast("sqlite3.Connection", _Watched(connection)), locks, jobs)


def _wrap() -> None:
    """Stand beside the engine's steps."""
    sqlite.__dict__["_transact"] = _transact
    read, post = truth.read_stripe, StripeClient.post

    async def read_stripe(*arguments: Any, **named: Any) -> Any:
        fate.pass_by("before the reading")
        reading = await read(*arguments, **named)
        fate.pass_by("after the reading")
        return reading

    async def posted(self: StripeClient, path: str, *arguments: Any, **named: Any) -> Any:
        fate.pass_by(f"before POST {path}")
        answer = await post(self, path, *arguments, **named)
        fate.pass_by(f"after POST {path}")
        return answer

    truth.__dict__["read_stripe"] = read_stripe
    type.__setattr__(StripeClient, "post", posted)


def _live(birth: dict[str, Any]) -> None:
    """Be a service until the end."""
    log = os.open(birth["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for given, taken in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(given, taken)
    os.environ.clear()
    os.environ.update(birth["environ"])
    orders, tasks = Path(birth["orders"]), Path(birth["tasks"])

    def obey(_number: int, _frame: Any) -> None:
        given = json.loads(orders.read_text())
        fate.left = given.get("nth", 1)
        fate.step = given.get("die", "")
        fate.pages = given.get("pages", 0)
        orders.unlink()

    def count(_number: int, _frame: Any) -> None:
        tasks.write_text(f"{len(asyncio.all_tasks())}\n")

    signal.signal(signal.SIGUSR1, obey)
    signal.signal(signal.SIGUSR2, count)
    _wrap()
    if birth["bounds"]:
        call, whole = birth["bounds"]

        def short(settings: Settings) -> Any:
            config = settings.engine_config()
            return create_app(settings, config=msgspec.structs.replace(config, call_seconds=call, whole_seconds=whole))

        serve.__dict__["create_app"] = short
    cli.main(["serve", "--port", str(birth["port"])], standalone_mode=False)


def _start(birth: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _live(birth)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    children: set[int] = set()
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "start":
            answer = _start(question)
            children.add(answer)
        else:
            pid, status = os.waitpid(question["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else RUNNING
            if pid:
                children.discard(pid)
        print(answer, flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
