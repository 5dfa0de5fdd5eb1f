"""How big each test is.

Each commit runs the commit size.  `INTERLOCK_NIGHTLY=1` runs the nightly size, and a single bound can be set by
its own variable, for instance `INTERLOCK_SIMULATION_SEEDS=5000`.  `INTERLOCK_FIRST_SEED` moves where seeds begin,
so that a failing seed, which every failure prints, is replayed alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

Figure: TypeAlias = Callable[[int, str], None]
"""Notes a row and its measured figure; the fixture `figure`."""

NIGHTLY = os.environ.get("INTERLOCK_NIGHTLY") == "1"


def size(name: str, commit: int, nightly: int) -> int:
    """Return a bound: `INTERLOCK_{NAME}` where it is set, else the commit's or the night's."""
    return int(os.environ.get(f"INTERLOCK_{name}") or (nightly if NIGHTLY else commit))


def first_seed() -> int:
    """Return where seeds begin."""
    return int(os.environ.get("INTERLOCK_FIRST_SEED", "0"))
