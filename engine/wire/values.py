"""The plain values in Stripe's objects, with their bounds, and the user whom metadata names."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Text: TypeAlias = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00]*$")]  # no database takes a NUL as text
Time: TypeAlias = Annotated[int, Meta(ge=0, le=253_402_300_799)]  # the year 9999: a later one has no RFC 3339
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Keys: TypeAlias = tuple[str, ...]
USER_KEYS: Final[Keys] = ("user_id",)
"""The metadata keys that name the user, unless USER_METADATA_KEYS says others; the first is written."""
MAX_USER: Final = 200
"""Characters of a user id."""
SCHEDULE_MARK: Final = "interlock"
"""The metadata key that the subscription schedules carry which we make."""


def user_in(metadata: dict[str, Any] | None, keys: Keys = USER_KEYS) -> str | None:
    """Return the user that metadata names under the first of `keys` that is there; unusable text names nobody."""
    if metadata:
        for key in keys:
            user = usable_user(metadata.get(key))
            if user is not None:
                return user
    return None


def usable_user(value: object) -> str | None:
    """Return a user id if it is one, else None: the same rule for a token's claim and for Stripe's metadata.

    No database takes a NUL, or half a surrogate pair.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_USER or "\x00" in value:
        return None
    return value if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value) else None
