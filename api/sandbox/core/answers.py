"""Answers without the HTTP, and those that are kept under an idempotency key."""

from __future__ import annotations

import copy
import json
from typing import NamedTuple

from interlock.api.sandbox.core.errors import Obj, reused_key
from interlock.api.sandbox.core.periods import DAY

KEYS_KEPT = DAY


class WorldAnswer(NamedTuple):
    """An HTTP answer without the HTTP."""

    status: int
    body: Obj
    headers: dict[str, str]


def mark_of(method: str, path: str, params: Obj) -> str:
    """What a call under an idempotency key must be again."""
    return json.dumps([method, path, params], sort_keys=True, default=str)


class KeptAnswers:
    """The answers of the last day by idempotency key: declines and Stripe's own errors too.

    A refusal before anything ran (an unknown parameter, a rate limit) is not kept, as in Stripe.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Obj] = {}

    def keep(self, key: str, mark: str, now: int, answer: WorldAnswer) -> None:
        """Keep the first answer under this key, if it is one to keep."""
        if answer.status not in (200, 402) and answer.status < 500:
            return
        self.kept[key] = {
            "mark": mark, "at": now, "status": answer.status, "body": copy.deepcopy(answer.body),
            "request": answer.headers["request-id"],
        }  # fmt: skip

    def replay(self, key: str, mark: str, now: int, headers: dict[str, str]) -> WorldAnswer | None:
        """The kept answer, a refusal where the call is another one, or None where none is kept."""
        kept = self.kept.get(key)
        if kept is not None and kept["at"] <= now - KEYS_KEPT:
            del self.kept[key]
            return None
        if kept is None:
            return None
        if kept["mark"] != mark:
            return WorldAnswer(400, reused_key(key).body, headers)
        replayed = {"idempotent-replayed": "true", "original-request": str(kept["request"])}
        if kept["status"] >= 400:
            replayed["stripe-should-retry"] = "false"  # the same key would only give the same answer
        return WorldAnswer(int(kept["status"]), copy.deepcopy(kept["body"]), headers | replayed)
