"""Every stand-in Stripe of the test process watched: what it answers and emits is held against Stripe's schemas.

It stands at the doors of the world, so it does not matter who calls, a test or a service or the SDK over HTTP.  What
does not fit is noted and fails the test that is running: raised here, in a server's thread, it would only be a 500.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from interlock.api.sandbox import WorldAnswer
from interlock.api.sandbox.core.observer import Observer
from interlock.api.sandbox.core.shapes import is_legacy
from tests.kit.counts import unheld
from tests.sandbox.schemas import check, check_event

Obj = dict[str, Any]
misfits: Final[list[str]] = []
"""What did not fit, and where it was seen; the fixture that fails the test empties it."""
OLD: Final = "in a shape from before basil, of which there is no schema here"
_turn: Final = threading.Lock()  # several stand-ins, each in a thread of its own, share the counts


class Watch(Observer):
    """Looks on at every world of the process."""

    def answered(self, call: str, answer: WorldAnswer) -> None:
        legacy = is_legacy(answer.headers.get("stripe-version", "newest"))
        if legacy and "error" not in answer.body:  # an error's shape is the same in all
            unheld[f"responses {OLD}"] += 1
        else:
            _hold(call, check, answer.body)

    def emitted(self, event: Obj) -> None:
        _hold(str(event["type"]), check_event, event)

    def delivered(self, body: Obj) -> None:
        if is_legacy(str(body["api_version"])):
            unheld[f"event bodies {OLD}"] += 1


def _hold(where: str, test: Callable[[Obj], Obj], body: Obj) -> None:
    with _turn:
        try:
            test(body)
        except Exception as error:
            misfits.append(f"{where}: {type(error).__name__}: {error}")
