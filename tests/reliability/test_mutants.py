"""Row 20: the tests can fail.  Each mutant of the engine is caught by the promise that it breaks."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest

from tests.kit.scale import Figure, size
from tests.reliability.mutants import MUTANTS, Mutant
from tests.reliability.promises import PROMISES
from tests.reliability.surgery import Change, NoPlace, Sources, drops, forces, returns, row, says

ROOT = Path(__file__).parent.parent.parent
SECONDS = 120


@pytest.mark.parametrize("name", PROMISES)
def test_promise(name: str) -> None:
    """The engine as it is keeps each promise that its mutants are judged by."""
    PROMISES[name]()


def _copy(folder: Path) -> Path:
    """Copy what a judge needs; compiled files too, so that only what is changed is compiled again."""
    package = folder / "interlock"
    package.mkdir(parents=True)
    shutil.copy2(ROOT / ".package" / "interlock" / "__init__.py", package / "__init__.py")
    shutil.copytree(ROOT / "engine", package / "engine")
    for room in ("kit", "reliability"):
        shutil.copytree(ROOT / "tests" / room, folder / "tests" / room)
    shutil.copy2(ROOT / "tests" / "__init__.py", folder / "tests" / "__init__.py")
    (package / "api").symlink_to(ROOT / "api")
    return folder


def _judge(folder: Path, *promises: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.reliability.promises", *promises]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )


def _survives(mutant: Mutant, sources: Sources, folder: Path) -> str | None:
    """Apply a mutant to a copy and let its promise judge; return why it is not caught, None where it is."""
    file, text = mutant.change(sources)
    if file.endswith(".py"):
        compile(text, file, "exec")
    (_copy(folder) / "interlock" / "engine" / file).write_text(text, "utf-8")
    judged = _judge(folder, mutant.promise)
    shutil.rmtree(folder)
    if judged.returncode == 0:
        return f"{mutant.name}: {mutant.promise} does not notice"
    if re.search(r"ImportError|SyntaxError|NameError|UnboundLocalError|judges /", judged.stderr):
        return f"{mutant.name}: not judged: {judged.stderr[-500:]}"
    return None


def test_every_mutant_has_its_place() -> None:
    """What each mutant changes is there, once, and is changed; one whose place is gone says what it looked for."""
    sources, lost = Sources(ROOT / "engine"), list[str]()
    for mutant in MUTANTS:
        try:
            file, text = mutant.change(sources)
        except NoPlace as gone:
            lost.append(f"{mutant.name}: {gone}")
        else:
            if file.endswith(".py") and ast.dump(ast.parse(text)) == ast.dump(ast.parse(sources.texts[file])):
                lost.append(f"{mutant.name}: changes nothing")
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (returns("decides", "1"), "the function decides stands nowhere; near are decide"),
        (forces("decide", "no such word", to=True), "in decide, a condition that mentions no such word: found 0 times"),
        (drops("_keep", "known"), "in _keep, a statement that mentions known: found 2 times"),
        (row("recover", "trialing", "()"), "the table's row recover from trialing: found 0 times"),
        (says("event_gone", "WHERE", ""), "the SQL statement event_gone: found 0 times"),
    ],
)
def test_a_change_without_its_place_says_what_it_looked_for(change: Change, said: str) -> None:
    """No mutant is dropped in silence: one that finds no place, or more than one, names it."""
    with pytest.raises(NoPlace, match=re.escape(said)):
        change(Sources(ROOT / "engine"))


def test_every_mutant_is_caught(figure: Figure, tmp_path: Path) -> None:
    """A dropped guard, a weaker comparison, a count skipped, an early acknowledgement, …: a promise notices each."""
    unchanged = _judge(_copy(tmp_path / "unchanged"), *PROMISES)
    assert unchanged.returncode == 0, unchanged.stderr
    with ThreadPoolExecutor(size("MUTANTS_AT_ONCE", 2, 2)) as pool:
        folders = [tmp_path / f"mutant{number}" for number in range(len(MUTANTS))]
        sources = Sources(ROOT / "engine")
        survivors = [found for found in pool.map(_survives, MUTANTS, repeat(sources), folders) if found]
    assert not survivors, "\n".join(survivors)
    figure(20, f"{len(MUTANTS)} mutants of the engine, {len(MUTANTS)} caught, by {len(PROMISES)} promises")
