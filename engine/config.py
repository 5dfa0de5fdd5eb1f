"""What the engine needs to be told, once, at start.  `api.settings` reads it from the environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from interlock.engine.core.catalogue import Catalogue

Clock: TypeAlias = Callable[[], float]
"""Seconds since 1970, UTC.  The service and the sandbox's stand-in Stripe share one."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One engine's settings.  Secrets are plain text here and never shown: see `__repr__`.

    `webhook_secrets` are tried in turn (rotation).  `retention_days`: raw payloads older than this are
    dropped (the event's id and outcome stay), 0 keeps them.  `reconcile_every` in seconds, 0 for no sweep.
    `user_metadata_keys` are the keys of Stripe's metadata that name the user; the first is written.
    `call_seconds` is how long one try of a call to Stripe may take, `whole_seconds` what somebody who waits for
    Stripe waits at most, with every try of every call that it takes.  Changes are sent to `hook_url`,
    signed with `hook_secrets`.
    """

    stripe_key: str
    webhook_secrets: tuple[str, ...]
    database_url: str
    catalogue: Catalogue
    app_url: str
    stripe_base: str | None = None
    user_metadata_keys: tuple[str, ...] = ("user_id",)
    reconcile_every: float = 3600
    retention_days: int = 90
    call_seconds: float = 9.0
    whole_seconds: float = 18.0
    hook_url: str | None = None
    hook_secrets: tuple[str, ...] = ()
    clock: Clock = time.time

    @property
    def livemode(self) -> bool:
        """Whether the key is a live one; events of the other mode are ignored."""
        return "_live_" in self.stripe_key[:9]

    def __repr__(self) -> str:
        return f"Config(database={self.database_url.partition(':')[0]}, livemode={self.livemode})"
