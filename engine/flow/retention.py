"""Forgets the raw payloads of events once they are old; what was decided stays.

A task of its own, so that personal data goes when the setting says so, whatever becomes of the sweep.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from interlock.engine.config import Config
from interlock.engine.errors import StoreUnavailable
from interlock.engine.store import Store
from interlock.engine.units.records import forget_payloads

log = logging.getLogger("interlock.retention")

_EVERY_SECONDS: Final = 3600.0
_DAY: Final = 86_400


async def forget_old_payloads(store: Store, config: Config) -> None:
    """Forget, now and every hour, what is older than `retention_days`; of several nodes one does."""
    while True:
        try:
            async with store.alone("retention", _EVERY_SECONDS / 2) as mine:
                before = int(config.clock()) - config.retention_days * _DAY
                while mine and await store.write(lambda before=before: forget_payloads(before)):
                    pass
        except StoreUnavailable as error:
            log.warning("old payloads could not be forgotten: %s", error)
        await asyncio.sleep(_EVERY_SECONDS)
