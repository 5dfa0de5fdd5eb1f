"""`tests/README.md` says what the tests show: each row, each size and each figure is held against the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.kit.figures import PAGE, figures_in

TESTS: Final = Path(__file__).parent


def _table(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    after = PAGE.read_text("utf-8").partition(heading)[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in after if line.startswith("|")]
    end = next((n for n, line in enumerate(rows[2:], 2) if len(line) != len(rows[0])), len(rows))
    return rows[2:end]


def _calls(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of a function in the tests, with its file."""
    found: list[tuple[str, ast.Call]] = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                found += [(path.relative_to(TESTS).as_posix(), node)]
    return found


def test_each_row_is_where_the_page_says() -> None:
    """No row without a test that prints its figure, no figure without a row, and the files are those that print it."""
    printed: dict[int, set[str]] = defaultdict(set)
    for file, call in _calls("figure"):
        row = call.args[0]
        assert isinstance(row, ast.Constant), f"{file} prints a figure of no certain row"
        assert isinstance(row.value, int)
        printed[row.value].add(file)
    page = {int(cells[0]): set(re.findall(r"`([^`]+)`", cells[-1])) for cells in _table("# What holds")}
    assert page == dict(printed), "a row of tests/README.md names other files than those that print its figure"


def test_each_size_is_what_the_page_says() -> None:
    """What a commit and a night run is told as it is in the code."""
    sizes = {
        (str(ast.literal_eval(call.args[0])), ast.unparse(call.args[1]), ast.unparse(call.args[2]), file)
        for file, call in _calls("size")
    }
    page = {(name.split("`")[1], commit, night, file.strip("`")) for name, commit, night, file in _table("## Sizes")}
    assert page == sizes


def test_the_figures_are_of_rows_that_are_there() -> None:
    """The figures that the last whole run wrote are of rows of the table."""
    rows = {int(cells[0]) for cells in _table("# What holds")}
    figures = {row for row, _ in figures_in(PAGE.read_text("utf-8"))}
    assert figures
    assert figures <= rows
