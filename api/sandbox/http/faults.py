"""Faults on request: what a client of the API may meet, for some calls and a number of times."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import Obj, invalid

# What each fault is unless a value is given: seconds, or a status.
DEFAULTS: dict[str, Any] = {
    "status": 500, "limited": 1, "locked": True, "timeout": 60.0, "reset": True,
    "failed": 500, "slow": 2.0, "garbage": True, "wrong": True, "half": True, "lost": True,
}  # fmt: skip
KINDS = tuple(DEFAULTS)


class Call(NamedTuple):
    """One call of the API. `text` is its key, path, query and body, in which a fault's mark is looked for."""

    at: float
    method: str
    path: str
    text: str


class Fault(NamedTuple):
    """What happens to the calls of `method` whose path begins with `path_prefix` and whose text has `mark` in it.

    Nothing is done, and `status` is answered · `limited`: 429 with so many seconds of Retry-After · `locked`: 429
    lock_timeout, to be tried again · `timeout`: no answer for so many seconds · `reset`: the connection ends.
    It is done, and `failed`: this status is answered, and kept under the idempotency key · `slow`: the answer comes
    so many seconds late · `garbage`: the answer is no JSON · `wrong`: it is another object · `half`: half of it
    comes · `lost`: the connection ends without it.
    """

    kind: str
    value: Any
    path_prefix: str
    method: str | None
    mark: str
    retry_after: int | None
    should_retry: str | None

    def meets(self, call: Call) -> bool:
        """Is this call one of those?"""
        return call.path.startswith(self.path_prefix) and self.method in (None, call.method) and self.mark in call.text


LEAST: dict[str, int] = {"status": 100, "failed": 400, "timeout": 0, "slow": 0, "limited": 0, "retry_after": 0,
                         "times": 1}  # fmt: skip
MOST: dict[str, int] = {"status": 599, "failed": 599, "timeout": 3600, "slow": 3600, "limited": 3600,
                        "retry_after": 3600, "times": 10_000}  # fmt: skip


def _number(name: str, value: Any) -> Any:
    """What is a number is one within its bounds, whole but for seconds; None and switches stay as they are."""
    if name not in LEAST or value is None:
        return value
    kinds = (int, float) if name in ("timeout", "slow") else (int,)
    if type(value) not in kinds or not LEAST[name] <= value <= MOST[name]:
        raise invalid(f"{name} is a number from {LEAST[name]} to {MOST[name]}.", name)
    return value


class Faults:
    """The faults that are still to happen, and whether anybody is answered at all."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []
        self.light = asyncio.Event()
        """While it is not set, calls wait."""
        self.light.set()

    def add(self, given: Obj) -> Fault:
        """`{a kind: its value or true}`, and `path_prefix`, `method`, `mark`, `times`, `retry_after`, `should_retry`.

        All but the kind may be left out; the kind may also stand in `kind`.  Returns the fault, for `remove`.
        """
        kind = given.get("kind") or next((name for name in KINDS if name in given), None)
        if kind not in KINDS:
            raise invalid(f"A fault is one of {', '.join(KINDS)}.", "kind")
        value = given.get(kind, DEFAULTS[kind])
        should = given.get("should_retry")
        fault = Fault(
            kind, DEFAULTS[kind] if value is True else _number(kind, value), str(given.get("path_prefix", "/v1/")),
            given.get("method"), str(given.get("mark", "")), _number("retry_after", given.get("retry_after")),
            None if should is None else str(should).lower(),
        )  # fmt: skip
        self._waiting.append((fault, _number("times", given.get("times", 1)) or 1))
        return fault

    def remove(self, fault: Fault) -> None:
        """No more of this fault, where any of it is left."""
        self._waiting = [each for each in self._waiting if each[0] is not fault]

    def clear(self) -> None:
        """No more faults."""
        self._waiting.clear()
        self.light.set()

    def take(self, call: Call) -> Fault | None:
        """The fault for this call, used up by one."""
        for at, (fault, times) in enumerate(self._waiting):
            if fault.meets(call):
                if times > 1:
                    self._waiting[at] = (fault, times - 1)
                else:
                    del self._waiting[at]
                return fault
        return None

    def view(self) -> list[Obj]:
        """For the panel."""
        return [fault._asdict() | {"times": times} for fault, times in self._waiting]
