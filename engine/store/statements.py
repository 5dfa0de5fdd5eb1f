"""The statements, as they are declared in `statements.sql`, and the schema's steps.

A statement is valid SQL with named parameters under a header:

    -- name: users_draw                     the name; `!` after it: returns nothing; `^`: at most one row; else rows
    -- A user and each subscription of …    what it is for, one line
    -- about: user :user_id                 the thing whose rows it touches, and the parameter that names it
    -- reads: users, subscription           tables that it reads
    -- writes: event, one row               the table that it writes; `one row`: only the row that it adds, or that
                                            `about` names, so that it may wait and go together with others
    -- after: users_lock                    run that statement first, with the same arguments: it locks what is read

Where a statement has no `about` it finds its rows by other means (what is due, what is old).  In the two databases
three marks differ:

    /*lock*/                                lock the row, where rows can be locked: FOR UPDATE
    /*claim*/                               the same, and leave out what others have locked
    IN /*keys*/ ( SELECT … /*keys*/ )       look each up by key; PostgreSQL would read the whole table for IN

All is read once, at import.  So a driver needs no list of names and does not read SQL, and a word that is not
declared, or a parameter too many or too few, is a `BadStatement` that says which.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from interlock.engine.errors import BadConfiguration

SQLITE: Final = {
    "database": "sqlite",
    "int": "integer",
    "blob": "blob",
    "serial": "integer PRIMARY KEY",
    "strict": "STRICT",
}
POSTGRES: Final = {
    "database": "postgres",
    "int": "bigint",
    "blob": "bytea",
    "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "strict": "",
}
"""The words of the migrations, `{int}` and so on, in either database."""
_MARKS: Final = {
    "/*lock*/": ("", "FOR UPDATE"),
    "/*claim*/": ("", "FOR UPDATE SKIP LOCKED"),
    "IN /*keys*/ (": ("IN (", "= ANY (ARRAY("),
    "/*keys*/ )": (")", "))"),
}
"""The marks of the statements, in SQLite and in PostgreSQL."""

Query: TypeAlias = "tuple[Statement, tuple[Any, ...]]"
"""What a unit of work yields: a statement, and its arguments in the order of its parameters."""


class BadStatement(Exception):
    """A statement that is declared or used wrongly; the text says which and how."""


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement.  Call it with its arguments by name to make a Query.

    `thing` and `thing_at`: what its rows belong to (`subscription`, `user`, …), and the place of the argument that
    names it.  `one_row`: a write that touches only the row that it adds or that `thing` names.  `locks`: it locks
    the rows that it reads.  `lock_first`: run with the same arguments before it.
    """

    name: str
    about: str
    parameters: tuple[str, ...]
    sqlite: str
    postgres: str
    returns_rows: bool
    at_most_one: bool
    reads: tuple[str, ...] = ()
    writes: str | None = None
    one_row: bool = False
    thing: str | None = None
    thing_at: int = -1
    locks: bool = False
    lock_first: Statement | None = None
    _pick: Callable[[dict[str, Any]], tuple[Any, ...]] = field(repr=False, default=lambda named: ())

    def __call__(self, **named: Any) -> Query:
        """Return the statement with these arguments, which must be all that it takes."""
        if len(named) != len(self.parameters):
            raise BadStatement(f"{self.name} takes {self.parameters}, not {tuple(named)}")
        try:
            return self, self._pick(named)
        except KeyError as error:
            raise BadStatement(f"{self.name} takes {self.parameters}, not {tuple(named)}") from error

    def taking(self, struct: type[msgspec.Struct]) -> Callable[[Any], Query]:
        """Return a function that takes all arguments from a struct whose fields are the parameters, in order."""
        if struct.__struct_fields__ != self.parameters:
            raise BadStatement(f"{self.name} takes {self.parameters}, not {struct.__struct_fields__}")
        astuple = msgspec.structs.astuple
        return lambda one: (self, astuple(one))

    @property
    def may_wait(self) -> bool:
        """Whether a driver may keep it until somebody reads its table, and send it with others."""
        return self.one_row and not self.returns_rows


class Migration(NamedTuple):
    """One numbered step of the schema; `checksum` is of the file as shipped."""

    number: int
    name: str
    checksum: str
    sql: str


def read_statements(text: str) -> dict[str, Statement]:
    """Read statements by name; raise BadStatement where one is not as the module's docstring says."""
    found: dict[str, Statement] = {}
    for part in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]:
        statement = _read(part, found)
        if statement.name in found:
            raise BadStatement(f"{statement.name} is declared twice")
        found[statement.name] = statement
    return found


def _read(part: str, before: dict[str, Statement]) -> Statement:
    head, *lines = part.strip().splitlines()
    match = re.fullmatch(r"(\w+)([!^]?)", head.strip())
    if match is None:
        raise BadStatement(f"`-- name: {head}` is no name")
    name, suffix = match[1], match[2]
    headers = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    if not headers or ":" in headers[0].partition(" ")[0]:
        raise BadStatement(f"{name}: the line under the name says what it is for")
    told = dict(_header(name, line) for line in headers[1:])
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
    parameters = tuple(dict.fromkeys(re.findall(r"(?<!:):(\w+)", sql)))
    thing, thing_at = _thing(name, told.get("about"), parameters)
    writes, _, one_row = told.get("writes", "").partition(", ")
    if one_row not in ("", "one row") or not (writes or "reads" in told):
        raise BadStatement(f"{name}: expected `reads: table, …` or `writes: table[, one row]`")
    if suffix == "!" and ("RETURNING" in sql or not writes):
        raise BadStatement(f"{name}: a statement with `!` writes, and returns nothing")
    first = told.get("after")
    if first is not None and (first not in before or before[first].parameters != parameters):
        raise BadStatement(f"{name}: `after` names a statement above it that takes the same arguments, not {first}")
    return Statement(
        name=name,
        about=headers[0],
        parameters=parameters,
        sqlite=_written(name, sql, parameters, "?"),
        postgres=_written(name, sql, parameters, "$"),
        returns_rows=suffix != "!",
        at_most_one=suffix == "^",
        reads=tuple(told["reads"].split(", ")) if "reads" in told else (),
        writes=writes or None,
        one_row=bool(one_row),
        thing=thing,
        thing_at=thing_at,
        locks="/*lock*/" in sql or "/*claim*/" in sql,
        lock_first=before[first] if first else None,
        _pick=_picker(parameters),
    )


def _header(name: str, line: str) -> tuple[str, str]:
    word, colon, value = line.partition(": ")
    if not colon or word not in ("about", "reads", "writes", "after"):
        raise BadStatement(f"{name}: `{line}` is no header")
    return word, value.strip()


def _thing(name: str, about: str | None, parameters: tuple[str, ...]) -> tuple[str | None, int]:
    if about is None:
        return None, -1
    thing, _, parameter = about.partition(" :")
    if parameter not in parameters:
        raise BadStatement(f"{name}: `about: {about}` names no parameter of it; it has {parameters}")
    return thing, parameters.index(parameter)


def _written(name: str, sql: str, parameters: tuple[str, ...], sign: str) -> str:
    for mark, words in _MARKS.items():
        sql = sql.replace(mark, words[sign == "$"])
    if "/*" in sql:
        raise BadStatement(f"{name}: unknown mark {sql[sql.index('/*') :].partition('*/')[0]}*/")
    return re.sub(r"(?<!:):(\w+)", lambda match: f"{sign}{parameters.index(match[1]) + 1}", sql).strip()


def _picker(parameters: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(parameters) > 1:
        return itemgetter(*parameters)
    return lambda named: tuple(named[parameter] for parameter in parameters)


STATEMENTS: Final = read_statements(files(__package__ or "").joinpath("statements.sql").read_text("utf-8"))


def migrations(words: dict[str, str]) -> list[Migration]:
    """Return the schema's steps in order, in the words of one database; a step may have a file for each."""
    folder = files(__package__ or "").joinpath("migrations")
    steps: list[Migration] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        _, *database, ending = file.name.split(".")
        if ending != "sql" or database not in ([], [words["database"]]):
            continue
        text = file.read_text("utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        sql = re.sub(r"\{(\w+)\}", lambda match: words[match[1]], text)
        steps.append(Migration(int(file.name[:4]), file.name, checksum, sql))
    return steps


def check_schema(applied: dict[int, str], known: dict[int, str]) -> None:
    """Raise BadConfiguration unless every applied step is one that this program knows, unchanged."""
    for number, checksum in applied.items():
        if number not in known:
            raise BadConfiguration(f"DATABASE_URL: the database has schema step {number}, newer than this program")
        if checksum != known[number]:
            raise BadConfiguration(f"DATABASE_URL: schema step {number} differs from this program's")
