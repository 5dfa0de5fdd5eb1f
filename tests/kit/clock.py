"""A clock for whoever takes one."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970; it stands still until it is moved, or runs from where it is put."""

    def __init__(self, at: float) -> None:
        self.at = at
        self._runs_from: float | None = None

    def __call__(self) -> float:
        return self.at if self._runs_from is None else self.at + time.monotonic() - self._runs_from

    def run(self) -> None:
        self._runs_from = time.monotonic()
