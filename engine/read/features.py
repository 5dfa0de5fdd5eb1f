"""What a user may use, as it is shown: each feature of the catalogue with its limit and what is left of it."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.counting import Counter, remaining, standing
from interlock.engine.core.features import Supply, allowance, changes_at, known_features, plans_giving
from interlock.engine.core.view import rfc3339
from interlock.engine.core.windows import Window
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.usage import held_by, without_ended_holds

_VERSION_BYTES: Final = 6
"""48 bits: what JSON can say exactly."""


class FeatureShown(Struct, frozen=True, kw_only=True):
    """One feature of a user.  `limit` and `remaining` are null where there is no limit.

    `until`: when the answer changes by the clock alone, `resets_at`: when counting begins anew; RFC 3339, else null.
    """

    key: str
    allowed: bool
    reason: str
    until: str | None
    limit: int | None
    used: int
    remaining: int | None
    resets_at: str | None


class FeatureAsked(FeatureShown, frozen=True, kw_only=True):
    """One feature, and the plans on sale that would allow one more use."""

    plans: list[str]


class FeaturesShown(Struct, frozen=True):
    """All features of the catalogue; `version` is another whenever anything in `items` is."""

    items: list[FeatureShown]
    version: int


def features(user_id: str, catalogue: Catalogue, now: int) -> Work[FeaturesShown | None]:
    """Read all features of a user; None where the user must be projected first."""
    supplies = yield from held_by(user_id, catalogue, now)
    if supplies is None:
        return None
    counters = yield from records.counters_of_user(user_id)
    items: list[FeatureShown] = []
    for key in known_features(catalogue):
        window = allowance(key, supplies, catalogue, now).window
        counter = yield from _standing_counter(user_id, key, window, counters.get((key, window.start)), now)
        items.append(_shown(key, supplies, counter, catalogue, now))
    digest = hashlib.blake2b(msgspec.json.encode(items), digest_size=_VERSION_BYTES).digest()
    return FeaturesShown(items, int.from_bytes(digest))


def feature(user_id: str, key: str, catalogue: Catalogue, now: int) -> Work[FeatureAsked | None]:
    """Read one feature of a user that the catalogue knows; None where the user must be projected first."""
    supplies = yield from held_by(user_id, catalogue, now)
    if supplies is None:
        return None
    window = allowance(key, supplies, catalogue, now).window
    found = yield from records.counter_unlocked(user_id, key, window.start)
    counter = yield from _standing_counter(user_id, key, window, found, now)
    shown = _shown(key, supplies, counter, catalogue, now)
    plans = plans_giving(key, counter.used + counter.reserved, catalogue)
    return FeatureAsked(**msgspec.structs.asdict(shown), plans=plans)


def _standing_counter(user_id: str, key: str, window: Window, found: Counter | None, now: int) -> Work[Counter]:
    if found is None or not found.reserved or found.holds_until > now:
        return found or Counter()
    return (yield from without_ended_holds(user_id, key, window.start, found, now))


def _shown(key: str, supplies: list[Supply], counter: Counter, catalogue: Catalogue, now: int) -> FeatureShown:
    given = allowance(key, supplies, catalogue, now)
    stands = standing(given, counter)
    return FeatureShown(
        key=key,
        allowed=stands.allowed,
        reason=stands.reason,
        until=rfc3339(changes_at(key, supplies, catalogue, now)),
        limit=given.limit,
        used=counter.used,
        remaining=remaining(given, counter),
        resets_at=rfc3339(given.window.end),
    )
