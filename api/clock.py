"""The clock of a stand-in Stripe, which a service beside it follows: `SANDBOX_CLOCK`."""

from __future__ import annotations

import logging
import time
from typing import Final

import httpx
import msgspec

log = logging.getLogger("interlock.clock")

TIMEOUT: Final = 5.0
FOLLOW_EVERY: Final = 1.0
"""Seconds between two looks at the stand-in's clock; it is also read before each webhook, which is signed by it."""


class _State(msgspec.Struct):
    offset: float


class FollowedClock:
    """Real time, and as much more as the stand-in's clock was moved forward.  Seconds since 1970."""

    def __init__(self, origin: str) -> None:
        self._offset = 0.0
        self._url = f"{origin}/_sandbox/state"
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)

    def __call__(self) -> float:
        return time.time() + self._offset

    async def follow(self) -> None:
        """Read the stand-in's clock; what was read last goes on where it can't be reached."""
        try:
            answer = await self._client.get(self._url)
            self._offset = msgspec.json.decode(answer.content, type=_State).offset
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            log.warning("the clock of SANDBOX_CLOCK can't be read: %s", type(error).__name__)

    async def close(self) -> None:
        await self._client.aclose()
