"""The house keeps its own rules: which room may know which, how the code is written, what a test must say."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from interlock.engine import __all__ as face

ROOT = Path(__file__).parent.parent
CARD = {"pyproject.toml", "engine", "api", "tests", "diagrams", "README.md", "LICENSE", "CHANGELOG.md"}
OUTSIDE = {
    "asyncio", "aiosqlite", "asyncpg", "sqlite3", "litestar", "stripe", "httpx", "time", "random", "os", "socket",
    "subprocess", "threading",
}  # fmt: skip
MAX_LINES = 300
MAX_FUNCTION = 50


def python_files(*rooms: str) -> list[Path]:
    """Return the project's own source files below folders; a room may also be one file."""
    return [
        file
        for room in rooms
        for file in ([ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py")))
    ]


@cache
def imported(file: Path) -> frozenset[str]:
    """Return the dotted name of everything that a file imports: modules, and names out of modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


class Never(NamedTuple):
    """What no file of some rooms imports; `but` are parts of it that they may."""

    rooms: tuple[str, ...]
    imports: tuple[str, ...]
    but: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    """Files and folders of the rooms that the rule is not about."""


ENGINE, API = "interlock.engine", "interlock.api"
_OUT = tuple(sorted(OUTSIDE))
NEVERS = {
    "the engine knows no api": Never(("engine",), (API,)),
    "core is pure": Never(("engine/core",), (ENGINE, *_OUT), but=(f"{ENGINE}.core", f"{ENGINE}.errors")),
    "units do no I/O": Never(("engine/units",), (f"{ENGINE}.wire.client", f"{ENGINE}.flow", *_OUT)),
    "the store knows no rule": Never(("engine/store",), (f"{ENGINE}.core", f"{ENGINE}.units")),
    "what is read changes nothing": Never(("engine/read",), (f"{ENGINE}.commands",)),
    "nothing needs the drawings": Never(
        ("engine",), (f"{ENGINE}.diagram",), apart=("engine/diagram", "engine/__init__.py")
    ),
    "the server knows no application": Never(
        ("api/http",), (f"{API}.app", f"{API}.routes", f"{API}.runtime", ENGINE), but=(f"{ENGINE}.errors",)
    ),
    "a real service knows neither demo nor stand-in": Never(
        ("api",),
        (f"{API}.demo", f"{API}.sandbox"),
        apart=("api/demo", "api/sandbox", "api/testing", "api/commands/sandbox.py"),
    ),
    "the stand-in is a truth of its own": Never(("api/sandbox",), (ENGINE, API), but=(f"{API}.sandbox",)),
}


def broken(never: Never) -> list[str]:
    """Name each import that a rule forbids."""
    files = set(python_files(*never.rooms)) - set(python_files(*never.apart))
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted(files)
        for name in sorted(imported(file))
        if any(within(name, module) for module in never.imports)
        and not any(within(name, module) for module in never.but)
    ]


def test_nothing_lies_at_the_top_but_the_card() -> None:
    """A reader who lists the folder sees the six names of the card, a licence and a changelog."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # a source archive has no git
        names = {path.name for path in ROOT.iterdir()}
    else:
        names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    extra = {name for name in names if not name.startswith(".")} - CARD
    assert not extra or listed.returncode


@pytest.mark.parametrize("rule", NEVERS)
def test_no_room_reaches_where_it_must_not(rule: str) -> None:
    """The arrows between rooms go one way: each rule is about a folder, so a new file can't escape it."""
    assert broken(NEVERS[rule]) == []


def test_a_command_knows_no_other_command() -> None:
    """What users may ask for are files side by side; what two of them need lies below both."""
    commands = python_files("engine/commands")
    names = {f"{ENGINE}.commands.{file.stem}" for file in commands if file.stem != "__init__"}
    found = [f"{file.name} imports {name}" for file in commands for name in imported(file) & names]
    assert found == []


def test_the_api_comes_in_by_the_engines_one_door() -> None:
    """The API takes nothing of the engine but the names that its face lists."""
    files = set(python_files("api")) - set(python_files("api/sandbox"))
    allowed = {f"{ENGINE}.{name}" for name in face}
    inner = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted(files)
        for name in imported(file)
        if within(name, ENGINE) and name not in allowed
    ]
    assert inner == []


def test_no_file_and_no_function_is_too_long() -> None:
    """A file is read in one sitting and a function in one look; tests, which are lists, are apart."""
    long: dict[str, int] = {}
    for file in python_files("engine", "api"):
        text = file.read_text("utf-8")
        name = str(file.relative_to(ROOT))
        if (lines := text.count("\n")) > MAX_LINES:
            long[name] = lines
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION:
                    long[f"{name}:{node.name}"] = size
    assert long == {}


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
