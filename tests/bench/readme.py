"""Keeps what a run measured in `README.md`, between two marks; the words around it are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- measured: written by `python -m tests.bench --write` -->\n"
END: Final = "<!-- end of what was measured -->\n"


def write(lines: Sequence[str], rows: Sequence[str]) -> None:
    """Put a run's lines in the place of those of the run before."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    when = f"Measured on {datetime.now(UTC):%Y-%m-%d}: {', '.join(rows)}.\n\n"
    README.write_text(f"{before}{BEGIN}{when}" + "\n".join(lines) + f"\n{END}{after}", "utf-8")
