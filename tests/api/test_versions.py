"""The oldest and the newest uvicorn and aiosqlite that `pyproject.toml` allows, each in an environment of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.kit.bodies import subscription_event
from tests.kit.process import Served
from tests.kit.scale import NIGHTLY
from tests.kit.settings import ROOT, environment

WHICH: Final = ("installed", "oldest", "newest") if NIGHTLY else ("installed",)
"""An environment takes a minute and the network, so a commit looks at what is installed, a night at both ends."""
RIDES_ON: Final = ("uvicorn", "aiosqlite")


def wanted(which: str) -> list[str]:
    """What pip is asked for: the lower bounds of `pyproject.toml`, or the newest below the upper ones."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    found = [need for need in needs if re.match(rf"({'|'.join(RIDES_ON)})\b", need)]
    assert len(found) == len(RIDES_ON)
    return [re.sub(r">=([\d.]+),.*", r"==\1", need) for need in found] if which == "oldest" else found


def python_of(which: str, folder: Path) -> str:
    """Return the interpreter of an environment with these versions; the program is installed in it as a package."""
    if which == "installed":
        return sys.executable
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    for packages in ([str(ROOT)], ["--upgrade", *wanted(which)]):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, timeout=900)
    return python


@pytest.mark.parametrize("which", WHICH)
def test_the_service_runs_on_both_ends_of_what_is_allowed(
    which: str, tmp_path: Path, new_user: Callable[[], str]
) -> None:
    """A webhook is taken, read back, survives SIGKILL, and nothing is logged as an error."""
    python = python_of(which, tmp_path / "venv")
    service = Served(environment(tmp_path), tmp_path / "log", command=[python, "-m", "interlock.api.cli"]).start()
    try:
        user = new_user()
        assert service.deliver(subscription_event(user)).json()["outcome"] == "applied"
        assert service.state(user)["access"]["granted"]
        service.kill()
        service.start()
        assert service.deliver(subscription_event(user)).json()["outcome"] == "duplicate"
        assert service.state(user)["state"] == "active"
        assert service.errors() == []
    finally:
        service.close()
