"""Faults on request: what a client of the API may meet, for a path and a number of times."""

from __future__ import annotations

from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import Obj, invalid

KINDS = ("status", "timeout", "reset", "garbage", "slow", "lost")
DEFAULTS: dict[str, Any] = {"status": 500, "timeout": 60.0, "reset": True, "garbage": True, "slow": 2.0,
                            "lost": True}  # fmt: skip


class Fault(NamedTuple):
    """`status`: answered so, nothing done. `timeout`: nothing done, no answer for so many seconds.
    `reset`: nothing done, the connection ends. `garbage`: done, the answer is no JSON. `slow`: done,
    late. `lost`: done, and the connection ends without the answer."""

    kind: str
    value: Any
    path_prefix: str
    method: str | None
    retry_after: int | None
    should_retry: str | None


LEAST: dict[str, int] = {"status": 100, "timeout": 0, "slow": 0, "retry_after": 0, "times": 1}
MOST: dict[str, int] = {"status": 599, "timeout": 3600, "slow": 3600, "retry_after": 3600, "times": 10_000}


def _number(name: str, value: Any) -> Any:
    """What is a number is one within its bounds, whole but for seconds; None and switches stay as they are."""
    if name not in LEAST or value is None:
        return value
    kinds = (int, float) if name in ("timeout", "slow") else (int,)
    if type(value) not in kinds or not LEAST[name] <= value <= MOST[name]:
        raise invalid(f"{name} is a number from {LEAST[name]} to {MOST[name]}.", name)
    return value


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, given: Obj) -> None:
        """`{"path_prefix", "method"?, one of KINDS or "kind", "times"?, "retry_after"?, "should_retry"?}`"""
        kind = given.get("kind") or next((name for name in KINDS if name in given), None)
        if kind not in KINDS:
            raise invalid(f"A fault is one of {', '.join(KINDS)}.", "kind")
        value = given.get(kind, DEFAULTS[kind])
        should = given.get("should_retry")
        fault = Fault(
            kind, DEFAULTS[kind] if value is True else _number(kind, value), str(given.get("path_prefix", "/v1/")),
            given.get("method"), _number("retry_after", given.get("retry_after")),
            None if should is None else str(should).lower(),
        )  # fmt: skip
        self._waiting.append((fault, _number("times", given.get("times", 1)) or 1))

    def clear(self) -> None:
        """No more faults."""
        self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this call, used up by one."""
        for at, (fault, times) in enumerate(self._waiting):
            if path.startswith(fault.path_prefix) and fault.method in (None, method):
                if times > 1:
                    self._waiting[at] = (fault, times - 1)
                else:
                    del self._waiting[at]
                return fault
        return None

    def view(self) -> list[Obj]:
        """For the panel."""
        return [fault._asdict() | {"times": times} for fault, times in self._waiting]
