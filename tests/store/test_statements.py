"""What a statement declares is what it does: drivers rely on the declaration and do not read SQL."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from interlock.engine.store.statements import STATEMENTS, BadStatement, Statement, read_statements
from interlock.engine.units import records

ROOMS: Final = Path(records.__file__).parent
ENGINE: Final = ROOMS.parent.parent
GOOD: Final = (
    "-- name: memo_get^\n-- A value.\n-- about: memo :name\n-- reads: memo\nSELECT value FROM memo WHERE name = :name\n"
)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_touches_the_tables_that_it_declares(name: str) -> None:
    """A table that is read or written and not declared would be read before what waits for it is written."""
    statement = STATEMENTS[name]
    written = set(re.findall(r"(?:INSERT INTO|UPDATE(?! SET)|DELETE FROM) (\w+)", statement.sqlite))
    assert written == ({statement.writes} if statement.writes else set())
    found = set(re.findall(r"(?:FROM|JOIN) (\w+)", statement.sqlite)) - {"due"}
    assert found - written == set(statement.reads)
    gives_rows = not written or "RETURNING" in statement.sqlite
    assert statement.returns_rows == gives_rows
    assert statement.locks == ("FOR UPDATE" in statement.postgres)


@pytest.mark.parametrize("name", [name for name, statement in STATEMENTS.items() if statement.one_row])
def test_a_write_of_one_row_finds_it_by_its_key(name: str) -> None:
    """Only such a write may wait and go together with others: it touches no row that another one could wait for."""
    statement = STATEMENTS[name]
    if statement.sqlite.startswith("INSERT"):
        return
    (where,) = re.findall(r"WHERE (\w+) = \?(\d+)", statement.sqlite)
    assert int(where[1]) - 1 == statement.thing_at


def calls(file: Path) -> list[tuple[str, list[str] | None]]:
    """The statements that a file names, and where it calls one, the names of the arguments."""
    tree = ast.parse(file.read_text("utf-8"))
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[tuple[str, list[str] | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "_S":
            assert isinstance(node.slice, ast.Constant)
            call = called.get(id(node))
            whole = call is not None and all(keyword.arg for keyword in call.keywords)
            names = [str(keyword.arg) for keyword in call.keywords] if call is not None and whole else None
            found.append((str(node.slice.value), names))
    return found


def test_every_statement_is_used_and_with_its_own_arguments() -> None:
    """No statement is left over, and a call by names gives exactly the parameters that there are."""
    found = [call for file in ROOMS.glob("*.py") for call in calls(file)]
    assert {name for name, _ in found} == set(STATEMENTS)
    assert [(name, names) for name, names in found if names and set(names) != set(STATEMENTS[name].parameters)] == []


def test_only_the_records_speak_sql() -> None:
    """A column more is one function's matter: no other room names a statement or takes a row apart."""
    rooms = (ROOMS, ENGINE / "store", ENGINE / "operate")
    files = [file for file in ENGINE.rglob("*.py") if not any(room in file.parents for room in rooms)]
    assert [file for file in files if re.search(r"\bSTATEMENTS\b|\brows?\[\d", file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("^", "?"), "is no name"),
        (GOOD.replace("-- A value.\n", ""), "what it is for"),
        (GOOD.replace("about: memo :name", "about: memo :key"), "names no parameter"),
        (GOOD.replace("-- reads: memo\n", ""), "expected `reads"),
        (GOOD.replace("reads: memo", "looks: memo"), "is no header"),
        (GOOD.replace("^", "!"), "returns nothing"),
        (GOOD + "/*look*/", "unknown mark"),
        (GOOD.replace("-- reads", "-- after: memo_lock\n-- reads"), "names a statement above it"),
        (GOOD + GOOD, "declared twice"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(text: str, said: str) -> None:
    """A mistake in the file is found when the program starts, with the statement's name."""
    with pytest.raises(BadStatement, match=said):
        read_statements(text)


def test_arguments_too_many_too_few_or_unknown_are_refused() -> None:
    """A call that does not give exactly the parameters fails before anything is run."""
    statement: Statement = read_statements(GOOD)["memo_get"]
    assert statement(name="a") == (statement, ("a",))
    for wrong in ({}, {"nam": 1}, {"name": 1, "value": 2}):
        with pytest.raises(BadStatement, match="memo_get takes"):
            statement(**wrong)

    class Pair(msgspec.Struct):
        value: str

    with pytest.raises(BadStatement, match="memo_get takes"):
        statement.taking(Pair)
