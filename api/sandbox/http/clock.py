"""The sandbox's clock: real time plus an offset that moves forward on request."""

from __future__ import annotations

import time
from collections.abc import Callable


class SandboxClock:
    """`now()` in seconds since 1970. The service beside the sandbox may run on the same clock."""

    def __init__(self, offset: float = 0.0, source: Callable[[], float] = time.time) -> None:
        self.offset = offset
        self._source = source

    def now(self) -> float:
        """The sandbox's time."""
        return self._source() + self.offset

    __call__ = now

    def move_to(self, moment: float) -> None:
        """Turn forward to `moment`; never back."""
        self.offset += max(0.0, moment - self.now())
