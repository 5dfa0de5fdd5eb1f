"""What a run counts, for its summary: added up over the worker processes that the tests are spread over."""

from __future__ import annotations

from collections import Counter

validated: Counter[str] = Counter()
"""Bodies of the stand-in Stripe that were held against Stripe's schemas, by kind."""
unheld: Counter[str] = Counter()
"""Its bodies of which no schema says anything, by kind and reason."""
told: list[str] = []
"""Lines that a test wants read at the end of the run."""
