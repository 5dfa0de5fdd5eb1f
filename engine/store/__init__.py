"""The store: units of work, and the databases that run them.

A unit of work (`Work[T]`) is a generator that yields a statement with its arguments, is sent the rows (none for one
that returns nothing),
and returns its result.  It does no I/O itself, so the same code runs in SQLite's thread and awaits PostgreSQL,
and a test can step through it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

from interlock.engine.store.statements import Query

T = TypeVar("T")
Row: TypeAlias = Sequence[Any]
Work: TypeAlias = Generator[Query, list[Row], T]
OnForeignChange: TypeAlias = Callable[[Iterable[str] | None], None]
"""Called when another process changed what these users see; None where it is not known who."""


class Store(Protocol):
    """One database.  Errors: StoreUnavailable when a unit of work could not be committed; it then left nothing.

    `exclusive`: no other process can serve from the same database.
    """

    exclusive: bool
    on_foreign_change: OnForeignChange

    async def write(self, work: Callable[[], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Run a unit of work in a transaction; return once it is durable.  It may be started more than once.

        `about`: the ids of the customer and the user whose rows the unit finds.  Units about the same id run one
        after another, across processes too; others may run side by side, in one transaction.  A unit that is about
        nothing in particular has a transaction of its own where the database can run several.
        """
        ...

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Run a unit of work that only reads."""
        ...

    def announce(self, users: Iterable[str]) -> None:
        """Let other processes on this database know whose state was changed here."""
        ...

    def alone(self, name: str, rest: float) -> AbstractAsyncContextManager[bool]:
        """Lock a task across processes, with a cool-down.

        True if no one runs `name`, and no one finished it in the last `rest` seconds.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
