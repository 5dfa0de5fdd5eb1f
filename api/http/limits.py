"""Bounds on what one user, or everyone together, may ask of a process.  Constant time, bounded memory."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from interlock.api.http.problems import ApiError

MAX_USERS: Final = 10_000
SPARED: Final = 1.0
"""Minimum upload time, in seconds, before a slow sender may be evicted; Stripe needs a few milliseconds."""


class TokenBuckets:
    """At most `burst` actions of a user at once, and `per_second` on and on.

    The users seen longest ago are forgotten first; by then their bucket has long been full again, unless more
    than MAX_USERS ask at once.
    """

    def __init__(self, burst: int, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user_id: str) -> None:
        """Take one action from a user's bucket; raise a 429 with Retry-After where it is empty."""
        now = self._now()
        left, at = self._buckets.pop(user_id, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[user_id] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MAX_USERS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - left) / self._per_second))
            raise ApiError("too_many_requests", retry_after=wait)


class Slots:
    """At most so many of something held by one user at a time."""

    def __init__(self, each: int, what: str) -> None:
        self._each = each
        self._what = what
        self._held: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._held.total()

    def take(self, user_id: str) -> None:
        """Take a slot; raise a 429 where the user has none left."""
        if self._held[user_id] >= self._each:
            detail = f"No more than {self._each} {self._what} at a time; close one first."
            raise ApiError("too_many_requests", detail, retry_after=5)
        self._held[user_id] += 1

    def give_back(self, user_id: str) -> None:
        self._held[user_id] -= 1
        if self._held[user_id] <= 0:
            del self._held[user_id]


class Sender:
    """A webhook that is still arriving: since when, how much of it has come, and what ends it."""

    __slots__ = ("end", "since", "size")

    def __init__(self, since: float, end: Callable[[], object]) -> None:
        self.since = since
        self.end = end
        self.size = 0


class Admission:
    """Bounds how many webhooks, and how many bytes of theirs, wait in this process at a time.

    Only what has come is counted, not what is announced.  Anybody can begin to send and then stop, so room is lent:
    when it runs out, the slowest senders are ended, each after SPARED seconds at the earliest.
    """

    def __init__(self, requests: int, size: int, now: Callable[[], float] = time.monotonic) -> None:
        self._requests = requests
        self._size = size
        self._now = now
        self._senders: dict[Sender, None] = {}
        """Who is still sending, the longest first."""

    def take(self, size: int) -> None:
        """Take room for one request of `size` bytes; raise a 503 with Retry-After where there is none."""
        if self._requests < 1 or self._size < size:
            self._make_room(1, size)
        self._requests -= 1
        self._size -= size

    def give_back(self, size: int) -> None:
        self._requests += 1
        self._size += size

    @contextmanager
    def sender(self, end: Callable[[], object]) -> Generator[Sender]:
        """Lend room to one that is still sending; `end` is called where somebody else needs it more."""
        self.take(0)
        sender = Sender(self._now(), end)
        self._senders[sender] = None
        try:
            yield sender
        finally:
            if sender in self._senders:
                self._drop(sender)

    def grow(self, sender: Sender, size: int) -> None:
        """Count what has come; raise TimeoutError where the sender's time is up, a 503 where there is no room."""
        if self._size < size:
            self._make_room(0, size)
        if sender not in self._senders:
            raise TimeoutError
        sender.size += size
        self._size -= size

    def _make_room(self, requests: int, size: int) -> None:
        spared = self._now() - SPARED
        while self._requests < requests or self._size < size:
            oldest = next(iter(self._senders), None)
            if oldest is None or oldest.since > spared:
                raise ApiError("overloaded")
            self._drop(oldest)
            oldest.end()

    def _drop(self, sender: Sender) -> None:
        del self._senders[sender]
        self.give_back(sender.size)
