"""The house keeps its own rules: which room may know which, how the code is written, what a test must say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CARD = {"pyproject.toml", "engine", "api", "tests", "diagrams", "README.md", "LICENSE", "CHANGELOG.md"}
PURE = [*(ROOT / "engine" / "core").glob("*.py"), *(ROOT / "engine" / "units").glob("*.py")]
OUTSIDE = {
    "asyncio", "aiosqlite", "asyncpg", "sqlite3", "litestar", "stripe", "httpx", "time", "random", "os", "socket",
    "subprocess", "threading",
}  # fmt: skip


def python_files(*folders: str) -> list[Path]:
    """Return the project's own source files."""
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def imported(file: Path) -> Iterator[str]:
    """Yield the top name of every module that a file imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def modules(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports from the project by its full name."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_nothing_lies_at_the_top_but_the_card() -> None:
    """A reader who lists the folder sees the six names of the card, a licence and a changelog."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # a source archive has no git
        names = {path.name for path in ROOT.iterdir()}
    else:
        names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    extra = {name for name in names if not name.startswith(".")} - CARD
    assert not extra or listed.returncode


def test_the_engine_never_imports_the_api() -> None:
    """The engine can be used without the API; the API depends on it, never the other way."""
    assert [file for file in python_files("engine") if "api" in imported(file)] == []


def test_the_sandbox_knows_nothing_of_the_engine() -> None:
    """The stand-in Stripe is an independent truth: it shares no code with what is measured against it."""
    own, package = "interlock.api.sandbox", "interlock"
    foreign = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in python_files("api/sandbox")
        for name in modules(file)
        if name.partition(".")[0] == package and name != own and not name.startswith(own + ".")
    ]
    assert foreign == []


def test_the_sandboxs_rooms_import_one_way() -> None:
    """The stand-in reads from the top down: core knows no object, objects know no click."""
    rooms = ["core", "objects", "people", "http"]
    back = [
        f"{file.relative_to(ROOT)}: {name}"
        for at, room in enumerate(rooms)
        for file in python_files(f"api/sandbox/{room}")
        for name in modules(file)
        if name.removeprefix("interlock.api.sandbox.").partition(".")[0] in rooms[at + 1 :]
    ]
    assert back == []


@pytest.mark.parametrize("room", sorted(PURE), ids=lambda room: f"{room.parent.name}/{room.name}")
def test_a_pure_room_reaches_nothing_outside(room: Path) -> None:
    """Deciding needs no clock, no network, no database and no event loop: `now` is an argument."""
    assert set(imported(room)) & OUTSIDE == set()


def test_every_test_says_which_promise_it_keeps() -> None:
    """A test without a docstring is a check that nobody knows the reason of."""
    silent = [
        f"{file.relative_to(ROOT)}::{node.name}"
        for file in python_files("tests")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_test_is_skipped_or_mocked() -> None:
    """What a test shows is shown on the real thing, and every test runs."""
    banned = ("unittest." + "mock", "pytest.mark." + "skip", "pytest." + "skip(", "pytest.mark." + "xfail")
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in python_files("tests")
        for word in banned
        if word in file.read_text("utf-8")
    ]
    assert found == []


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["pyright"]])
def test_the_code_is_clean(command: list[str]) -> None:
    """The linter, the formatter and the type checker (strict) have nothing to say."""
    arguments = ["--pythonpath", sys.executable] if command == ["pyright"] else []
    tool = Path(sys.executable).parent / command[0]
    run = subprocess.run([tool, *command[1:], *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
