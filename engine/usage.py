"""The engine's face, as far as features and usage go; `Interlock` has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from interlock.engine.commands.consume import Consumed, consume
from interlock.engine.commands.hold import HoldAnswer, set_aside, settle
from interlock.engine.commands.usage import UsageEvent, UsageReport, report_usage
from interlock.engine.config import Config
from interlock.engine.core.catalogue import Catalogue
from interlock.engine.flow.counting import Counting
from interlock.engine.flow.meters import Meters
from interlock.engine.flow.runner import Runner
from interlock.engine.read.features import FeatureAsked, FeaturesShown, feature, features
from interlock.engine.read.usage import UsageLine, lines
from interlock.engine.store import Store, Work
from interlock.engine.wire.client import StripeClient


class UsageFace:
    """What a user may use, counting, and what Stripe's meters are told of it.  Raises StoreUnavailable throughout."""

    def _open_usage(self, store: Store, runner: Runner, stripe: StripeClient, config: Config) -> None:
        self._counting = Counting(store, runner, config)
        self._usage_store = store
        self._meters = Meters(store, runner, stripe, config)

    def _usage_tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What runs by itself: old ids are forgotten, and meters told where the catalogue names any."""
        metered = any(rule.meter for rule in self._counting.catalogue.features.values())
        tasks: dict[str, Callable[[], Awaitable[None]]] = {"usage": self._counting.forget}
        return tasks | {"meters": self._meters.run} if metered else tasks

    async def features(self, user_id: str) -> FeaturesShown:
        """Return every feature of the catalogue, and what of it a user may use."""
        return await self._counting.read(user_id, features)

    async def feature(self, user_id: str, key: str) -> FeatureAsked:
        """Return one feature, and the plans that would allow one more use of it.  Raises UnknownFeature."""
        self._counting.require(key)

        def one(user_id: str, catalogue: Catalogue, now: int) -> Work[FeatureAsked | None]:
            return feature(user_id, key, catalogue, now)

        return await self._counting.read(user_id, one)

    async def consume(self, user_id: str, feature: str, amount: int = 1, *, use_id: str | None = None) -> Consumed:
        """Count `amount` (1 or more) of a feature, whole or not at all, in one transaction.

        A `use_id` of your own counts once within 35 days.  Raises UnknownFeature.
        """
        return await consume(self._counting, user_id, feature, amount, use_id)

    async def hold(self, user_id: str, feature: str, amount: int, *, seconds: int) -> HoldAnswer:
        """Set `amount` of a feature aside for some seconds; then it gives back.  Raises UnknownFeature."""
        return await set_aside(self._counting, user_id, feature, amount, seconds)

    async def settle(self, hold_id: str, amount: int) -> HoldAnswer:
        """Count what a hold really came to (0 or more).  Raises UnknownHold."""
        return await settle(self._counting, self._usage_store, hold_id, amount)

    async def report_usage(self, events: Sequence[UsageEvent]) -> UsageReport:
        """Count uses of many users, that may lie in the past, and corrections."""
        return await report_usage(self._counting, events)

    async def usage(self, user_id: str, *, check: bool = False) -> list[UsageLine]:
        """Return what a user has used of each counted feature; `check` asks Stripe's meters for their summaries.

        Raises StripeUnavailable, StripeRefused.
        """
        found = await self._counting.read(user_id, lines)
        return [await self._checked(line) if check else line for line in found]

    async def _checked(self, line: UsageLine) -> UsageLine:
        if line.meter is None or line.customer_id is None:
            return line
        now = int(self._counting.now)
        total = await self._meters.summary(line.customer_id, line.meter, line.since, now - now % 60 + 60)
        return msgspec.structs.replace(line, stripe=total)

    async def meter_faults(self) -> list[str]:
        """Say what is wrong with the meters that the catalogue names, and with what they were to be told."""
        return await self._meters.faults()
