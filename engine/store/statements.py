"""Reads `statements.sql` and the migrations, in the words of one database."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final, NamedTuple

from interlock.engine.errors import BadConfiguration

SQLITE: Final = {
    "int": "integer",
    "blob": "blob",
    "serial": "integer PRIMARY KEY",
    "strict": "STRICT",
    "lock": "",
    "claim": "",
    "one_of": "IN (",
    "end": ")",
}
POSTGRES: Final = {
    "int": "bigint",
    "blob": "bytea",
    "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "strict": "",
    "lock": "FOR UPDATE",
    "claim": "FOR UPDATE SKIP LOCKED",
    "one_of": "= ANY (ARRAY(",
    "end": "))",
}


class Migration(NamedTuple):
    """One numbered step of the schema; `checksum` is of the file as shipped."""

    number: int
    name: str
    checksum: str
    sql: str


def _spoken(sql: str, words: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: words[match[1]], sql)


def statements(words: dict[str, str]) -> dict[str, str]:
    """Return every statement by name."""
    text = files(__package__ or "").joinpath("statements.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", _spoken(text, words), flags=re.MULTILINE)[1:]
    return {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def migrations(words: dict[str, str]) -> list[Migration]:
    """Return the schema's steps in order."""
    folder = files(__package__ or "").joinpath("migrations")
    steps: list[Migration] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text("utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        steps.append(Migration(int(file.name[:4]), file.name, checksum, _spoken(text, words)))
    return steps


def check_schema(applied: dict[int, str], known: dict[int, str]) -> None:
    """Raise BadConfiguration unless every applied step is one that this program knows, unchanged."""
    for number, checksum in applied.items():
        if number not in known:
            raise BadConfiguration(f"DATABASE_URL: the database has schema step {number}, newer than this program")
        if checksum != known[number]:
            raise BadConfiguration(f"DATABASE_URL: schema step {number} differs from this program's")
