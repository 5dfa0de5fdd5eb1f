"""The keys that a token issuer publishes: fetched when needed, kept with bounds, and asked for seldom."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated, Any, Final

import httpx
import jwt
import msgspec

from interlock.api.http.problems import ApiError
from interlock.api.settings.algorithms import key_fits

log = logging.getLogger("interlock.jwks")

FRESH_FOR: Final = 3600.0
KEEP_FOR: Final = 24 * 3600.0
RETRY_AFTER: Final = 30.0
"""Seconds between two fetches, however many tokens with unknown keys come."""
TIMEOUT: Final = 5.0
MAX_BODY: Final = 256 * 1024
MAX_KEYS: Final = 64


class _KeySet(msgspec.Struct):
    keys: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=MAX_KEYS)]


class JwksKeys:
    """The verification keys behind one URL, for one pinned algorithm, by their `kid`."""

    def __init__(self, url: str, algorithm: str) -> None:
        self._url = url
        self._algorithm = algorithm
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = -KEEP_FOR
        self._tried_at = -RETRY_AFTER
        self._lock = asyncio.Lock()
        # No redirects: a key comes from the URL that was set, or not at all.
        self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def key(self, kid: Any) -> Any:
        """Return the key of that `kid` (or the only key there is, for a token without one), None where unknown.

        Raises ApiError (503) where no key could be read for a day.
        """
        age = time.monotonic() - self._fetched_at
        if age > FRESH_FOR or self._find(kid) is None:
            await self._refresh()
        if time.monotonic() - self._fetched_at > KEEP_FOR:
            raise ApiError("keys_unavailable")
        return self._find(kid)

    def _find(self, kid: Any) -> Any:
        if isinstance(kid, str):
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if kid is None and len(self._keys) == 1 else None

    async def _refresh(self) -> None:
        async with self._lock:  # who waited here finds what the one before fetched
            if time.monotonic() - self._tried_at < RETRY_AFTER:
                return
            self._tried_at = time.monotonic()
            try:
                async with asyncio.timeout(TIMEOUT):
                    keys = self._read(await self._fetch())
            except (httpx.HTTPError, TimeoutError, msgspec.DecodeError, ValueError, RecursionError) as error:
                log.warning("The token issuer's keys could not be read: %s", type(error).__name__)
                return
            self._keys, self._fetched_at = keys, time.monotonic()

    async def _fetch(self) -> bytes:
        async with self._client.stream(
            "GET", self._url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}
        ) as response:
            if response.status_code != 200:
                raise ValueError(response.status_code)
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise ValueError("too long")
            return bytes(body)

    def _read(self, body: bytes) -> dict[str | None, Any]:
        """Return the keys that fit the pinned algorithm; the issuer may publish others beside them."""
        keys: dict[str | None, Any] = {}
        for raw in msgspec.json.decode(body, type=_KeySet).keys:
            kid = raw.get("kid")
            if raw.get("use", "sig") != "sig" or raw.get("alg", self._algorithm) != self._algorithm:
                continue
            if kid is not None and not isinstance(kid, str):
                continue
            try:
                key = jwt.PyJWK(raw, algorithm=self._algorithm).key
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
            if key_fits(key, self._algorithm):
                keys[kid] = key
        return keys
