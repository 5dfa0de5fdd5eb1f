"""Deliveries: which are due when, how often they are tried again, and the mischief done to them.

Pure, like the world: it returns what is due, and the carrier reports how it went. All times are the sandbox's.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.periods import DAY, HOUR

# Seconds to the next try after the n-th failure: Stripe's growing distances, but beginning with a
# second, so that a service that was restarted gets its events soon. Given up after three days, as in Stripe.
RETRY_AFTER = (1, 2, 4, 8, 16, 32, 60, 120, 300, 900, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY)
GIVE_UP_AFTER = 3 * DAY
DELAYED_UP_TO = 30.0
REORDERED_UP_TO = 2.0
KINDS = ("duplicate", "reorder", "delay", "drop", "twin")
LOG_MAX = 500
ANSWER_MAX = 300


class Delivery(NamedTuple):
    """One try of one event at one endpoint."""

    id: int
    event: str
    endpoint: str
    due: float
    attempt: int
    since: float


class Outbox:
    """The tries that are still to be made, and a log of those that were."""

    def __init__(self, seed: int = 0) -> None:
        self.mischief: Obj = dict.fromkeys(KINDS, 0.0) | {"seed": seed}
        self.pending: dict[int, Delivery] = {}
        self.log: list[Obj] = []
        self._count = 0
        self._randoms = 0

    # -- in ----------------------------------------------------------------------------------------

    def add(self, event: Obj, endpoint: str, now: float) -> None:
        """An event for an endpoint, with what mischief makes of it."""
        id_ = str(event["id"])
        if self._happens("drop"):
            self._note(id_, str(event["type"]), endpoint, now, "dropped", 0)
            return
        due = float(now)
        if self._happens("delay"):
            due += self._random() * DELAYED_UP_TO
        if self._happens("reorder"):
            due += self._random() * REORDERED_UP_TO
        self._push(id_, endpoint, due, 0, now)
        if self._happens("duplicate"):
            self._push(id_, endpoint, due + self._random() * REORDERED_UP_TO, 0, now)

    def has_twin(self, event: Obj) -> bool:
        """Does this change get a second Event object? Only some, and never a twin of a twin."""
        return not event["type"].startswith("test_helpers.") and self._happens("twin")

    def resend(self, event: str, endpoint: str, now: float) -> None:
        """By hand, as from the Dashboard."""
        self._push(event, endpoint, now, 0, now)

    def _push(self, event: str, endpoint: str, due: float, attempt: int, since: float) -> None:
        self._count += 1
        self.pending[self._count] = Delivery(self._count, event, endpoint, due, attempt, since)

    # -- out ---------------------------------------------------------------------------------------

    def due(self, now: float) -> list[Delivery]:
        """What is to be tried by now, in the order in which it is due."""
        ready = [each for each in self.pending.values() if each.due <= now]
        return sorted(ready, key=lambda each: (each.due, each.id))

    def next_due(self) -> float | None:
        """When the next try is due."""
        return min((each.due for each in self.pending.values()), default=None)

    def done(self, delivery: Delivery, now: float, status: int | None, type_: str = "", answer: str = "") -> bool:
        """How a try went: 2xx is taken, anything else (3xx too) is tried again. Returns: taken?

        The beginning of the endpoint's `answer` is kept, as the Dashboard shows it.
        """
        self.pending.pop(delivery.id, None)
        taken = status is not None and 200 <= status < 300
        self._note(delivery.event, type_, delivery.endpoint, now, "delivered" if taken else "failed",
                   delivery.attempt + 1, status, answer)  # fmt: skip
        if taken:
            return True
        wait = RETRY_AFTER[min(delivery.attempt, len(RETRY_AFTER) - 1)]
        if now + wait - delivery.since <= GIVE_UP_AFTER:
            self._push(delivery.event, delivery.endpoint, now + wait, delivery.attempt + 1, delivery.since)
        return False

    def hurry(self, now: float) -> None:
        """Retries that wait become due at once (after a jump of the clock, or by hand)."""
        for id_, each in list(self.pending.items()):
            if each.due > now and each.attempt:
                self.pending[id_] = each._replace(due=now)

    def _note(
        self, event: str, type_: str, endpoint: str, now: float, outcome: str, attempt: int,
        status: int | None = None, answer: str = "",
    ) -> None:  # fmt: skip
        self.log.append({"event": event, "type": type_, "endpoint": endpoint, "at": now, "outcome": outcome,
                         "attempt": attempt, "status": status, "answer": answer[:ANSWER_MAX]})  # fmt: skip
        del self.log[:-LOG_MAX]

    # -- chance, by the seed -----------------------------------------------------------------------

    def set_mischief(self, changes: Obj) -> Obj:
        """Change the probabilities that are named, the others stay; a seed starts the sequence again."""
        self.mischief |= {key: changes[key] for key in (*KINDS, "seed") if key in changes}
        if "seed" in changes:
            self._randoms = 0
        return self.mischief

    def _random(self) -> float:
        self._randoms += 1
        digest = hashlib.blake2b(f"{self.mischief['seed']}/{self._randoms}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def _happens(self, kind: str) -> bool:
        chance = float(self.mischief[kind])
        return chance > 0 and self._random() < chance

    # -- keeping -----------------------------------------------------------------------------------

    def dump(self) -> Obj:
        """As JSON."""
        return {"mischief": self.mischief, "pending": [list(each) for each in self.pending.values()],
                "count": self._count, "draws": self._randoms}  # fmt: skip

    def load(self, state: Obj) -> None:
        """Take up what `dump` gave."""
        self.mischief = state["mischief"]
        self.pending = {int(each[0]): Delivery(*each) for each in state["pending"]}
        self._count, self._randoms = state["count"], state["draws"]
