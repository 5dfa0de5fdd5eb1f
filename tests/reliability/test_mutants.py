"""Row 20: the tests can fail.  Each mutant of the engine is caught by the promise that it breaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.reliability.mutants import MUTANTS, Mutant
from tests.reliability.promises import PROMISES
from tests.reliability.scale import Figure, size

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
    shutil.copytree(ROOT / "tests" / "reliability", folder / "tests" / "reliability")
    shutil.copy2(ROOT / "tests" / "__init__.py", folder / "tests" / "__init__.py")
    (package / "api").symlink_to(ROOT / "api")
    return folder


def _judge(folder: Path, *promises: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.reliability.promises", *promises]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )


def _survives(mutant: Mutant, folder: Path) -> str | None:
    """Apply a mutant to a copy and let its promise judge; return why it is not caught, None where it is."""
    file = _copy(folder) / "interlock" / "engine" / mutant.file
    text = file.read_text("utf-8")
    if text.count(mutant.old) != 1:
        return f"{mutant.name}: {mutant.file} has its text {text.count(mutant.old)} times, not once"
    mutated = text.replace(mutant.old, mutant.new)
    file.write_text(mutated, "utf-8")
    if mutant.file.endswith(".py"):
        compile(mutated, mutant.file, "exec")
    judged = _judge(folder, mutant.promise)
    shutil.rmtree(folder)
    if judged.returncode == 0:
        return f"{mutant.name}: {mutant.promise} does not notice"
    if "ImportError" in judged.stderr or "SyntaxError" in judged.stderr or "judges /" in judged.stderr:
        return f"{mutant.name}: not judged: {judged.stderr[-500:]}"
    return None


def test_every_mutant_is_caught(figure: Figure, tmp_path: Path) -> None:
    """A dropped guard, a weaker comparison, a count skipped, an early acknowledgement, …: a promise notices each."""
    unchanged = _judge(_copy(tmp_path / "unchanged"), *PROMISES)
    assert unchanged.returncode == 0, unchanged.stderr
    with ThreadPoolExecutor(size("MUTANTS_AT_ONCE", 2, 2)) as pool:
        folders = [tmp_path / f"mutant{number}" for number in range(len(MUTANTS))]
        survivors = [found for found in pool.map(_survives, MUTANTS, folders) if found]
    assert not survivors, "\n".join(survivors)
    figure(20, f"{len(MUTANTS)} mutants of the engine, {len(MUTANTS)} caught, by {len(PROMISES)} promises")
