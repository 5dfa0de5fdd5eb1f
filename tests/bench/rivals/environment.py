"""Makes the rivals' environment: their packages never stand among the project's own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path


def environment(folder: Path) -> Path:
    """Return the Python of an environment that has them, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing the rivals into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    wanted = Path(__file__).with_name("requirements.txt")
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted], check=True)
    return python
