"""The figures of a run, as `tests/README.md` keeps those of the last whole one."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import time
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parent.parent / "README.md"
_BEGIN: Final = "<!-- figures -->\n"
_END: Final = "<!-- end -->"


def figures_in(page: str) -> list[tuple[int, str]]:
    """The rows and figures that stand in a page."""
    kept = page.partition(_BEGIN)[2].partition(_END)[0]
    return [(int(row), text) for row, text in re.findall(r"^- (\d+): (.*)$", kept, re.MULTILINE)]


def write(figures: list[tuple[int, str]], seconds: float) -> None:
    """Put the figures of a run in the place of the last one's."""
    cores, date = len(os.sched_getaffinity(0)), time.strftime("%Y-%m-%d", time.gmtime())
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    size = "nightly" if os.environ.get("INTERLOCK_NIGHTLY") == "1" else "commit"
    told = f"{date}, {size} size, {cores} cores that others may share, {versions}: {seconds:.0f} s in all.\n\n"
    lines = "".join(f"- {row}: {text.partition(': ')[2]}\n" for row, text in sorted(figures))
    page = PAGE.read_text("utf-8")
    before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}{told}{lines}{_END}{after}", "utf-8")
